import { createServer, type Server, Socket } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Decode } from '../../src/docker/http/exchange.ts';
import { Relay } from '../../src/docker/http/relay.ts';
import { connectUnix } from '../../src/host/unix-connection.ts';
import { deferred } from './deferred.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** A scripted engine on a unix socket, a relay in front of it, and a client of the relay. */
export interface Relayed {
  readonly client: Wire;
  /** The engine's end, once the relay has dialled. */
  readonly engine: Promise<Wire>;
  /** Resolves when the relay has closed both. */
  readonly ended: Promise<void>;
}

export async function relayed(t: TestContext, options: { decode?: Decode; engine?: boolean } = {}): Promise<Relayed> {
  const folder = temporaryFolder('docker');
  const enginePath = join(folder, 'engine.sock');
  const engine = deferred<Wire>();
  if (options.engine !== false) {
    await listen(t, enginePath, (socket) => engine.resolve(new Wire(socket)));
  }
  const ended = deferred<void>();
  const path = join(folder, 'docker.sock');
  await listen(t, path, (socket) => {
    const client = { source: socket, sink: socket, destroy: () => socket.destroy() };
    const dial = (): ReturnType<typeof connectUnix> => connectUnix(enginePath);
    const limits = { requestBytes: 4096, responseBytes: 4096, lingerMs: 5000 };
    void new Relay(client, dial, options.decode ?? (() => undefined), limits).run().then(ended.resolve);
  });
  const socket = new Socket({ allowHalfOpen: true });
  socket.connect(path);
  t.after(() => socket.destroy());
  return { client: new Wire(socket), engine: engine.promise, ended: ended.promise };
}

async function listen(t: TestContext, path: string, serve: (socket: Socket) => void): Promise<void> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    serve(socket);
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
}

/** One end of a connection, with waits for what it receives. */
export class Wire {
  readonly socket: Socket;
  #text = '';
  #ended = false;
  readonly #waiting = new Set<() => void>();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      this.#text += bytes.toString('latin1');
      this.#wake();
    });
    for (const event of ['end', 'close'] as const) {
      socket.on(event, () => {
        this.#ended = true;
        this.#wake();
      });
    }
  }

  /** All that has come. */
  get text(): string {
    return this.#text;
  }

  send(text: string): void {
    this.socket.write(Buffer.from(text, 'latin1'));
  }

  end(): void {
    this.socket.end();
  }

  /** Resolves when `text` is in what has come; rejects where the other end ends before. */
  async has(text: string): Promise<void> {
    await this.#until(() => this.#text.includes(text) || this.#ended);
    if (!this.#text.includes(text))
      throw new Error(`ended without ${JSON.stringify(text)}: ${JSON.stringify(this.#text)}`);
  }

  /** Resolves to all that has come when the other end sends no more. */
  async whole(): Promise<string> {
    await this.#until(() => this.#ended);
    return this.#text;
  }

  async #until(done: () => boolean): Promise<void> {
    while (!done()) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
