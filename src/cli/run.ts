import type { ControlApi } from '../api/server/control-api.ts';
import { EventFeed } from '../api/v1/event-feed.ts';
import { forwardJson } from '../api/v1/forward-json.ts';
import { guestApiServices } from '../api/gvproxy/guest-api-service.ts';
import type { Config } from '../config/config.ts';
import { DEFAULT_RUN_MTU } from '../config/network.ts';
import type { SlipwayError } from '../facts/errors.ts';
import type { ForwardSpec, ForwardStatus } from '../config/forward.ts';
import type { ControlLog } from '../control/network-control.ts';
import { stopOnSignals } from '../control/signals.ts';
import { type RunningNetwork, startNetwork } from '../control/start-network.ts';
import { startCommandGuest } from '../embedding/command-guest.ts';
import { firstGuestAddress } from '../embedding/guest-addresses.ts';
import { TOKEN_VARIABLE } from './control-place.ts';
import { hostShown } from './forwards-shown.ts';
import { quietLog } from './logs.ts';
import { configOf, type NetworkFlags } from './options.ts';
import { describeError, STATUS_OWN_FAILURE } from './print-error.ts';
import { type PublishFlags, publish, publishFlag } from './published.ts';
import { note, noteWithoutWaiting, STANDARD_ERROR, say } from './say.ts';

export interface RunFlags extends NetworkFlags, Pick<PublishFlags, 'publish'> {}

/** `slipway run`: COMMAND in a namespace whose only way out is Slipway. Returns the status to exit with. */
export async function run(command: readonly string[], flags: RunFlags): Promise<number> {
  const published = (flags.publish ?? []).flatMap(publishFlag);
  const config = await configOf(flags, { network: { mtu: DEFAULT_RUN_MTU }, log: { level: 'warn' } });
  // Its guest is gone with it: nothing is worth keeping.
  const events = new EventFeed();
  await noteWithoutWaiting();
  const log = events.listeningTo(quietLog(config.log.level));
  const onFatal = (error: SlipwayError): void => {
    note(describeError(error));
    process.exit(STATUS_OWN_FAILURE);
  };
  // Until COMMAND gets them: who ends by the default action leaves the control socket and those of forwards behind.
  const commandGetsSignals = stopOnSignals(async () => {});
  const network = await startNetwork({ ...config, state: '' }, log, onFatal, guestApiServices(config.api), published);
  const { [TOKEN_VARIABLE]: token, ...env } = process.env;
  let api: ControlApi | undefined;
  try {
    // A daemon's file may name a socket, which is the daemon's: none is opened here unless asked for.
    if (flags.control !== undefined) api = await guardedControl(network, { config, log, events, token });
    for (const spec of published) tellChosen(spec, await publish(network, spec));
    const guest = await startCommandGuest(network, firstGuestAddress(network.config), command, {
      forwardSignals: true,
      env,
    });
    commandGetsSignals();
    for (const kind of guest.shared) {
      log.warn(`this kernel gives no ${kind} namespace: the command shares this computer's (docs/security.md)`);
    }
    return await guest.status;
  } finally {
    api?.close();
    await network.stop();
  }
}

/** A port that the host chose is known to nobody else. */
function tellChosen({ host }: ForwardSpec, status: ForwardStatus): void {
  if (host.kind === 'unix' || (host.port !== 0 && (host.lastPort ?? host.port) === host.port)) return;
  say(STANDARD_ERROR, `slipway: publishing ${hostShown(forwardJson(status))}\n`);
}

/**
 * The guest has this user's files and rights, so it can open the socket: it takes a token, which the guest is not
 * given. Nothing that could be read from a file would do.
 */
async function guardedControl(
  network: RunningNetwork,
  options: {
    readonly config: Config;
    readonly log: ControlLog;
    readonly events: EventFeed;
    readonly token: string | undefined;
  },
): Promise<ControlApi | undefined> {
  const { config, log, events } = options;
  const [{ newToken }, { serveControl }] = await Promise.all([
    import('../api/server/control-token.ts'),
    import('./serve-control.ts'),
  ]);
  const token = options.token ?? newToken();
  const control = { ...config.control, tcp: undefined };
  const api = await serveControl(network, { config: control, log, events, attachments: () => [], token });
  if (api !== undefined && options.token === undefined) {
    say(STANDARD_ERROR, `slipway: control socket ${api.socket}, ${TOKEN_VARIABLE}=${token}\n`);
  }
  return api;
}
