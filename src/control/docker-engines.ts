import { createServer } from 'node:net';
import type { DockerEngine } from '../config/docker.ts';
import { DockerProxy } from '../docker/docker-proxy.ts';
import { ForwardedPorts } from '../docker/ports/forwarded-ports.ts';
import { hostFreePorts } from '../docker/ports/free-ports.ts';
import { SlipwayError } from '../facts/errors.ts';
import { connectUnix } from '../host/unix-connection.ts';
import { listenAtFile } from './listening-file.ts';
import type { ControlLog } from './network-control.ts';
import type { RunningNetwork } from './start-network.ts';

export interface DockerEnginesOptions {
  readonly network: Pick<RunningNetwork, 'control' | 'forwards'>;
  readonly log: Pick<ControlLog, 'info' | 'warn'>;
  /** Where an engine's API is that has no socket of its own choice; its folder is this user's alone. */
  readonly usualSocket: string;
}

interface Served {
  close(): Promise<void>;
}

/** The engines whose API this process serves, each at a socket for this user alone. */
export class DockerEngines {
  readonly #options: DockerEnginesOptions;
  readonly #served = new Map<string, Served>();

  constructor(options: DockerEnginesOptions) {
    this.#options = options;
  }

  /**
   * Serves the engine's API, whether or not the engine answers yet. Rejects with ERR_LISTEN_IN_USE, ERR_LISTEN_FAILED
   * or ERR_RUNTIME_FOLDER.
   */
  async add(engine: DockerEngine): Promise<void> {
    const { network, log } = this.#options;
    const path = this.#path(engine);
    const proxy = new DockerProxy({
      dial: () => connectUnix(engine.engine),
      ports: new ForwardedPorts(network.forwards, { guest: engine.guest, bind: engine.bind }),
      free: hostFreePorts,
      reachable: this.#telling(engine),
    });
    const listening = await listenAtFile({
      path,
      what: "the socket of the engine's API",
      elsewhere: 'choose another place (docker: - socket: PATH)',
      privateFolder: engine.socket === '',
      server: () => createServer({ allowHalfOpen: true }, (client) => proxy.serve(client)),
      refused: (cause) =>
        new SlipwayError(
          'ERR_LISTEN_FAILED',
          `the engine's API cannot be served at ${path}: ${cause.message}`,
          'Choose another path for its socket.',
          { cause },
        ),
      taken: (cause) => cause,
      warn: (message) => log.warn(message),
    });
    this.#served.set(path, {
      close: async () => {
        listening.close();
        await proxy.stop();
      },
    });
    await network.control.requests.ask('addOwnPlaces', [{ kind: 'unix', path }]);
    proxy.start();
  }

  /** Ends its clients, and gives back the ports of its containers; the engine lives on. */
  async remove(engine: DockerEngine): Promise<void> {
    const path = this.#path(engine);
    const served = this.#served.get(path);
    this.#served.delete(path);
    await served?.close();
  }

  /** All of them. Idempotent. */
  async stop(): Promise<void> {
    const all = [...this.#served.values()];
    this.#served.clear();
    await Promise.all(all.map((one) => one.close()));
  }

  #path({ socket }: DockerEngine): string {
    return socket === '' ? this.#options.usualSocket : socket;
  }

  /** Tells once for each change. */
  #telling(engine: DockerEngine): (why: string | undefined) => void {
    const { log } = this.#options;
    let answered: boolean | undefined;
    return (why) => {
      if (answered === (why === undefined)) return;
      answered = why === undefined;
      if (answered) log.info(`the engine at ${engine.engine} answers; its API is at ${this.#path(engine)}`);
      else log.warn(`the engine at ${engine.engine} does not answer: ${why}; it is asked until it does`);
    };
  }
}
