import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { TestNamespace } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { HOST, Slipway } from '../support/slipway.ts';
import { endingOf, start } from '../support/sockets.ts';
import { canRunStreamGuests, plugGuest } from '../support/stream-guest.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** A third of what such a server waited when a reset drained. */
const LIMIT_MS = 20_000;
const PYTHON = `
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
while s.recv(65536): pass`;

/** Programs that download from host and port until they are killed; each is of another kind. */
const CLIENTS: readonly (readonly [name: string, command: (host: string, port: string) => string[]])[] = [
  ['curl', (host, port) => ['curl', '-s', '--http0.9', '-o', '/dev/null', `http://${host}:${port}/`]],
  ['wget', (host, port) => ['wget', '-q', '-O', '/dev/null', `http://${host}:${port}/`]],
  ['busybox', (host, port) => ['busybox', 'wget', '-q', '-O', '/dev/null', `http://${host}:${port}/`]],
  ['nc', (host, port) => ['nc', '-d', host, port]],
  ['socat', (host, port) => ['socat', '-u', `TCP:${host}:${port}`, 'OPEN:/dev/null']],
  ['python3', (host, port) => ['python3', '-c', PYTHON, host, port]],
  ['perl', (host, port) => ['perl', '-MIO::Socket::INET', '-e', PERL, host, port]],
  ['bash', (host, port) => ['bash', '-c', `exec 3<>/dev/tcp/${host}/${port}; exec cat <&3 >/dev/null`]],
];
const PERL = '$s = IO::Socket::INET->new("$ARGV[0]:$ARGV[1]"); 1 while sysread($s, $b, 65536)';
const HEADER = 'HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n';

/**
 * Sends without end and reads nothing: as fast as it can, or 16 KiB every 2 ms, for which a client waits most of the
 * time.
 */
class EndlessServer {
  readonly port: number;
  readonly #server: Server;
  readonly #accepted: Socket[] = [];

  static async start(t: TestContext, stream: 'fast' | 'slow'): Promise<EndlessServer> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new EndlessServer(t, server, stream);
  }

  private constructor(t: TestContext, server: Server, stream: 'fast' | 'slow') {
    this.#server = server;
    this.port = (server.address() as { port: number }).port;
    const block = Buffer.alloc(16_384);
    server.on('connection', (socket) => {
      this.#accepted.push(socket);
      socket.on('error', () => {});
      socket.write(HEADER);
      const send = (): void => {
        if (!socket.destroyed && !socket.writableNeedDrain) socket.write(block);
      };
      const ticking = setInterval(send, 2);
      socket.on('close', () => clearInterval(ticking));
      if (stream === 'slow') return;
      socket.on('drain', () => setImmediate(send));
    });
    t.after(() => {
      for (const socket of this.#accepted) socket.destroy();
      server.close();
    });
  }

  async accepted(): Promise<Socket> {
    if (this.#accepted.length === 0) await once(this.#server, 'connection');
    return this.#accepted[0]!;
  }
}

/** Resolves once the client has read so much, so that it is in the middle of it. */
async function sent(socket: Socket, bytes: number): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  while (socket.bytesWritten - socket.writableLength < bytes) {
    assert.ok(performance.now() < deadline && !socket.destroyed, `${socket.bytesWritten} bytes sent`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function abortedDownload(
  t: TestContext,
  guest: TestNamespace,
  command: string[],
  server: EndlessServer,
): Promise<void> {
  const client = start(t, guest, ...command);
  const hostSide = await server.accepted();
  await sent(hostSide, 200_000);
  const heard = endingOf(hostSide);
  client.kill('SIGINT');
  const killedAt = performance.now();
  assert.match(await heard, /EPIPE|ECONNRESET/);
  t.diagnostic(`the server heard of it after ${Math.round(performance.now() - killedAt)} ms`);
}

test('a server hears at once that its client was killed', { timeout: 300_000 }, async (t) => {
  if (!canRunStreamGuests(t)) return;
  const socket = join(temporaryFolder('test'), 'net.sock');
  const slipway = await Slipway.start(t, { listen: [`qemu+unix://${socket}`] });
  const { namespace } = await plugGuest(t, { socket, address: '192.168.65.10' });

  for (const [attachment, guest] of [
    ['tap', slipway.guest],
    ['stream', namespace],
  ] as const) {
    for (const [name, command] of CLIENTS) {
      for (const stream of ['slow', 'fast'] as const) {
        await t.test(`${name}, a ${stream} stream, by ${attachment}`, { timeout: LIMIT_MS }, async (t) => {
          if (!needs(t, name)) return;
          const server = await EndlessServer.start(t, stream);
          await abortedDownload(t, guest, command(HOST, `${server.port}`), server);
        });
      }
    }
  }

  await t.test('curl and nc, by the portable engine', { timeout: 2 * LIMIT_MS }, async (t) => {
    const portable = join(temporaryFolder('test'), 'net.sock');
    await Slipway.start(t, { engine: 'node', guest: false, mtu: 1500, listen: [`qemu+unix://${portable}`] });
    const { namespace } = await plugGuest(t, { socket: portable, address: '192.168.65.10' });
    for (const [, command] of CLIENTS.filter(([name]) => name === 'curl' || name === 'nc')) {
      const server = await EndlessServer.start(t, 'slow');
      await abortedDownload(t, namespace, command(HOST, `${server.port}`), server);
    }
  });

  await slipway.reaches((status) => status.flows === 0, 'nothing drains');
});
