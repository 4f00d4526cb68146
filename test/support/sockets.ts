import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket, type TcpNetConnectOpts } from 'node:net';
import type { TestContext } from 'node:test';
import { enterNamespace, type TestNamespace } from './namespace.ts';

/*
 * Sockets of other namespaces, held by the test itself: a guest's connection and the host's server are two objects of
 * one event loop, so a test orders what happens without a word of protocol between processes. The kernel's stack of the
 * guest is real all the same.
 */

type Disposer = Pick<TestContext, 'after'>;

/**
 * Calls `act` inside the namespace; undefined is where the test runs. Node opens a socket in the call or in the tick
 * that the call queues; the ticks queued around that one lead in and out again.
 */
export function within<Result>(namespace: TestNamespace | undefined, act: () => Result): Result {
  if (namespace === undefined) return act();
  const home = openSync('/proc/thread-self/ns/net', 'r');
  const there = openSync(namespace.path, 'r');
  process.nextTick(() => enterNamespace(there));
  enterNamespace(there);
  try {
    return act();
  } finally {
    enterNamespace(home);
    process.nextTick(() => {
      enterNamespace(home);
      closeSync(home);
      closeSync(there);
    });
  }
}

/** A TCP connection that begins now; destroyed after the test. */
export function dial(
  t: Disposer,
  namespace: TestNamespace | undefined,
  port: number,
  host: string,
  options: Partial<TcpNetConnectOpts> = {},
): Socket {
  const socket = within(namespace, () => connect({ port, host, ...options }));
  // An error that no test waits for is no failure of the test.
  socket.on('error', () => {});
  t.after(() => {
    socket.destroy();
  });
  return socket;
}

/** The same, resolved when the connection stands, rejected with the guest's error. */
export async function dialled(...args: Parameters<typeof dial>): Promise<Socket> {
  const socket = dial(...args);
  await once(socket, 'connect');
  return socket;
}

export interface Listening {
  readonly port: number;
  readonly server: Server;
  /** The next connection that nobody has taken yet. */
  accept(): Promise<Socket>;
}

export interface ListenOptions {
  readonly host?: string;
  /** Only where no other program can have it: in a namespace of the test. */
  readonly port?: number;
  readonly ipv6Only?: boolean;
  readonly allowHalfOpen?: boolean;
  readonly pauseOnConnect?: boolean;
}

/** A TCP server at every address of the namespace (or at `host`); it and its connections are closed after the test. */
export async function listen(t: Disposer, namespace?: TestNamespace, options: ListenOptions = {}): Promise<Listening> {
  const { host = '0.0.0.0', port = 0, ipv6Only = false, ...rest } = options;
  const server = createServer(rest);
  const waiting: Socket[] = [];
  const takers: ((socket: Socket) => void)[] = [];
  const open = new Set<Socket>();
  server.on('connection', (socket) => {
    open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
    const taker = takers.shift();
    if (taker === undefined) waiting.push(socket);
    else taker(socket);
  });
  within(namespace, () => server.listen({ port, host, ipv6Only }));
  await once(server, 'listening');
  t.after(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const accept = async (): Promise<Socket> =>
    waiting.shift() ?? (await new Promise<Socket>((resolve) => takers.push(resolve)));
  return { port: (server.address() as AddressInfo).port, server, accept };
}

/** One connection, seen from both its ends. */
export async function connected(
  t: Disposer,
  guest: TestNamespace,
  host: string,
  options: { readonly allowHalfOpen?: boolean; readonly pauseOnConnect?: boolean } = {},
): Promise<{ readonly guestSide: Socket; readonly hostSide: Socket }> {
  const { port, accept } = await listen(t, undefined, { host: '127.0.0.1', ...options });
  const guestSide = await dialled(t, guest, port, host, { allowHalfOpen: options.allowHalfOpen ?? false });
  return { guestSide, hostSide: await accept() };
}

/** A bound UDP socket, closed after the test. */
export async function udp(
  t: Disposer,
  namespace?: TestNamespace,
  address = '0.0.0.0',
  port = 0,
): Promise<DatagramSocket> {
  const socket = createSocket('udp4');
  within(namespace, () => socket.bind(port, address));
  await once(socket, 'listening');
  t.after(() => {
    socket.close();
  });
  return socket;
}

/** How a socket's incoming side ended: all that it brought, and the error's code or 'end'. */
export async function drained(socket: Socket): Promise<{ readonly bytes: Buffer; readonly ending: string }> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  const ending = await endingOf(socket);
  return { bytes: Buffer.concat(chunks), ending };
}

/** The error's code, 'end', or 'close' for an end without either. */
export function endingOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once('end', () => resolve('end'));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('close', () => resolve('close'));
  });
}

/** A port that nobody listens on, kept free by a socket that is bound and does not listen. */
export async function refusedPort(t: Disposer): Promise<number> {
  const { port, server } = await listen(t, undefined, { host: '127.0.0.1' });
  server.close();
  await once(server, 'close');
  return port;
}

export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts a program in the namespace; killed after the test if it still runs. */
export function start(t: Disposer, namespace: TestNamespace | undefined, ...command: readonly string[]): ChildProcess {
  const enter = namespace === undefined ? [] : ['nsenter', `--net=${namespace.path}`, '--'];
  const [file, ...argv] = [...enter, ...command];
  const child = spawn(file!, argv, { stdio: ['pipe', 'pipe', 'pipe'] });
  t.after(() => {
    child.kill('SIGKILL');
  });
  return child;
}

/** Runs a program in the namespace to its end; its status is the caller's to judge. */
export function execute(
  t: Disposer,
  namespace: TestNamespace | undefined,
  ...command: readonly string[]
): Promise<Finished> {
  const child = start(t, namespace, ...command);
  child.stdin!.end();
  return finished(child);
}

/** The end of a program that was started. */
export async function finished(child: ChildProcess): Promise<Finished> {
  let [stdout, stderr] = ['', ''];
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, stdout, stderr };
}
