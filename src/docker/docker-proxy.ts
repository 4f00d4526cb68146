import type { Socket } from 'node:net';
import { containerExchanges, type FreePorts } from './container-exchanges.ts';
import { EngineClient } from './engine/engine-client.ts';
import { EngineWatch, type EngineWatcher } from './engine/engine-watch.ts';
import { errorAnswer } from './http/exchange.ts';
import { type ByteConnection, Relay, type RelayLimits } from './http/relay.ts';
import { type HostPorts, PortKeeper } from './ports/port-keeper.ts';

const LIMITS: RelayLimits = {
  requestBytes: 16 * 1024 * 1024,
  responseBytes: 64 * 1024 * 1024,
  lingerMs: 2_000,
};
/** How long the engine may take for an answer that Slipway itself asks for. */
const ENGINE_MS = 30_000;
/** Clients at a time. Each may hold two connections' descriptors, and some ask nothing for hours. */
const MAX_CLIENTS = 4_096;

export interface DockerProxyOptions {
  /** Connects to the engine. Rejects with an error that says why there is none, and what to do. */
  readonly dial: () => Promise<ByteConnection>;
  readonly ports: HostPorts;
  readonly free: FreePorts;
  /** The engine answers, or why it does not. */
  readonly reachable: (why: string | undefined) => void;
}

/**
 * The engine's API as clients of the host see it: everything passes to the engine and back, and the ports that its
 * containers publish are the host's.
 */
export class DockerProxy {
  readonly #options: DockerProxyOptions;
  readonly #keeper: PortKeeper;
  readonly #watch: EngineWatch;
  readonly #clients = new Set<Socket>();
  readonly #decode: ReturnType<typeof containerExchanges>;

  constructor(options: DockerProxyOptions) {
    this.#options = options;
    this.#keeper = new PortKeeper(options.ports);
    const client = new EngineClient(options.dial, ENGINE_MS);
    const keeper = this.#keeper;
    const watcher: EngineWatcher = {
      container: (inspected) => keeper.settle(inspected),
      gone: (id) => keeper.forget(id),
      known: () => keeper.containers,
      reachable: options.reachable,
    };
    this.#watch = new EngineWatch(client, watcher);
    this.#decode = containerExchanges({ client, watch: this.#watch, keeper, free: options.free });
  }

  /** Follows the engine until `stop`. */
  start(): void {
    void this.#watch.run();
  }

  /** Ends all clients, and gives all ports back. */
  async stop(): Promise<void> {
    this.#watch.stop();
    for (const client of this.#clients) client.destroy();
    await Promise.all(this.#keeper.containers.map((id) => this.#keeper.forget(id)));
  }

  /** Takes a client, whose connection may be half open (`allowHalfOpen`). */
  serve(socket: Socket): void {
    socket.on('error', () => {});
    if (this.#clients.size >= MAX_CLIENTS) {
      socket.end(errorAnswer(503, `Slipway serves ${MAX_CLIENTS} clients of this socket already`, { close: true }));
      return;
    }
    this.#clients.add(socket);
    const client = { source: socket, sink: socket, destroy: () => void socket.destroy() };
    const relay = new Relay(client, this.#options.dial, this.#decode, LIMITS);
    void relay.run().finally(() => this.#clients.delete(socket));
  }
}
