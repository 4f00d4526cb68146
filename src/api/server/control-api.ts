import type { Socket } from 'node:net';
import type { ControlConfig } from '../../config/control.ts';
import { SlipwayError } from '../../facts/errors.ts';
import { type OwnPlace, ownPort } from '../../control/own-places.ts';
import type { AccessRules, ControlPeer } from './control-access.ts';
import { type ConnectionServer, type ListeningSocket, listenAtLoopback, listenAtSocket } from './control-listener.ts';
import type { Counters } from '../../env/counters.ts';
import type { ControlServer } from './control-server.ts';
import { type TokenFile, tokenFile } from './control-token.ts';

export interface ControlApiOptions {
  readonly config: ControlConfig;
  /** The folder of the socket is Slipway's own: made, and kept from everybody else. */
  readonly privateFolder: boolean;
  /**
   * A guest of this process has the same files and user, so neither the socket's mode nor a token in a file would keep
   * it out.
   */
  readonly tokenOnSocket?: string | undefined;
  /** Loads what serves the connections; called when the first client connects, and again should it fail. */
  load(rules: () => AccessRules): Promise<ControlServer>;
  /** 'control-…': what was refused. */
  readonly counters: Counters;
  readonly log: {
    warn(message: string): void;
    error(message: string, fields?: Readonly<Record<string, string>>): void;
  };
}

/** The control API while it listens. */
export interface ControlApi {
  /** '' for none. */
  readonly socket: string;
  /** "127.0.0.1:8765", '' for none. */
  readonly tcp: string;
  /** All of it: no place for a guest. */
  readonly places: readonly OwnPlace[];
  /** Where the token of `tcp` is; '' for none. */
  readonly tokenFile: string;
  /** Ends every connection, and removes what was made. Idempotent. */
  close(): void;
}

/**
 * Opens the control sockets; the server is loaded for the first client, so a daemon without clients pays nothing.
 * Rejects with SlipwayError (ERR_LISTEN_…, ERR_RUNTIME_FOLDER, ERR_CONTROL_TOKEN) and leaves nothing behind then.
 */
export async function openControlApi(options: ControlApiOptions): Promise<ControlApi> {
  const { config, privateFolder, tokenOnSocket, counters, log } = options;
  const places: OwnPlace[] = [];
  const open: Pick<ListeningSocket, 'close'>[] = [];
  const close = (): void => {
    for (const one of open.splice(0).reverse()) one.close();
  };
  const file = config.tcp === undefined ? undefined : tokenPath(config);
  let kept: TokenFile | undefined;
  const rules = (): AccessRules => ({
    token: tokenOnSocket ?? kept?.token,
    tokenOnSocket: tokenOnSocket !== undefined,
  });
  const serve = server(options, rules);
  try {
    if (config.socket !== '') {
      open.push(
        await listenAtSocket(
          config.socket,
          { privateFolder, counters, warn: (message) => log.warn(message) },
          serve('unix'),
        ),
      );
      places.push({ kind: 'unix', path: config.socket });
    }
    let tcp = '';
    if (config.tcp !== undefined) {
      // Behind the socket, whose folder it may be in.
      if (tokenOnSocket === undefined) {
        kept = tokenFile(file ?? '');
        const { remove } = kept;
        process.once('exit', remove);
        open.push({
          close: () => {
            process.off('exit', remove);
            remove();
          },
        });
      }
      const listening = await listenAtLoopback(config.tcp, counters, serve('tcp'));
      open.push(listening);
      const { address } = config.tcp;
      places.push(ownPort(config.tcp.address, listening.port));
      tcp = `${address.includes(':') ? `[${address}]` : address}:${listening.port}`;
    }
    return { socket: config.socket, tcp, places, tokenFile: kept === undefined ? '' : (file ?? ''), close };
  } catch (error) {
    close();
    throw error;
  }
}

function tokenPath({ tokenFile, socket }: ControlConfig): string {
  if (tokenFile !== '') return tokenFile;
  // Named after the socket, as other daemons may have theirs in the same folder.
  if (socket !== '') return `${socket.replace(/\.sock$/, '')}.token`;
  throw new SlipwayError(
    'ERR_USAGE',
    'the control API on TCP needs a file for its token',
    'Set control.tokenFile, or a control socket: the token file then is beside it.',
  );
}

/** What serves a connection; loaded once, by the first that comes. */
function server({ load, log }: ControlApiOptions, rules: () => AccessRules): (peer: ControlPeer) => ConnectionServer {
  let loading: Promise<ControlServer> | undefined;
  let loaded: ControlServer | undefined;
  const accept = (socket: Socket, peer: ControlPeer): void => {
    loading ??= load(rules);
    loading.then(
      (app) => {
        loaded = app;
        if (!socket.destroyed) app.serve(socket, peer);
      },
      (error: unknown) => {
        log.error('the control API cannot be loaded', { stack: (error as Error).stack ?? String(error) });
        socket.destroy();
        loading = undefined;
      },
    );
  };
  return (peer) => ({
    accept: (socket) => accept(socket, peer),
    isIdle: (socket) => loaded?.isIdle(socket) ?? true,
  });
}
