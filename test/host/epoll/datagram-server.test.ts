import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { DatagramBatch } from '../../../src/env/host.ts';
import type { HostDatagramServer } from '../../../src/env/host-listener.ts';
import { needs, needsRoot } from '../../support/needs.ts';
import { createEpollHarness } from './harness.ts';

const SLOT_BYTES = 2048;

/** A namespace with addresses of every kind on one computer. */
const MULTIHOMED = `
set -e
ip link set lo up
ip address add fd00::1/128 dev lo nodad
ip address add fd00::2/128 dev lo nodad
ip link add near type veth peer name far
ip link set far up; ip link set near up
ip address add fe80::7/64 dev near nodad
exec "$0" "$1" fd00::1 fd00::2 fe80::7%near
`;

describe('a UDP server of the epoll engine', () => {
  const harness = createEpollHarness();
  const at = harness.arena.allocate(64 * SLOT_BYTES);
  after(() => harness.close());

  it('on all addresses answers from the one that was asked', async () => {
    const { server, port } = await serve(0);
    for (const asked of ['127.0.0.1', '127.0.0.2', '127.9.8.7']) {
      // A connected socket hears only the address it is connected to.
      const client = createSocket('udp4');
      client.connect(port, asked);
      await once(client, 'connect');
      let answer = '';
      client.on('message', (bytes) => {
        answer = bytes.toString();
      });
      client.send(asked);
      const { client: handle, bytes } = await receiveOne(server);
      assert.equal(Buffer.from(bytes).toString(), asked);
      assert.equal(reply(server, handle, asked), true);
      await harness.until(() => answer !== '', `the answer from ${asked}`);
      assert.equal(answer, asked);
      client.close();
    }
    server.close();
  });

  it('tells one client that asks two of its addresses as two', async () => {
    const { server, port } = await serve(0);
    const client = createSocket('udp4');
    const from: string[] = [];
    client.on('message', (_bytes, { address }) => from.push(address));
    for (const asked of ['127.0.0.1', '127.0.0.2', '127.0.0.1']) {
      client.send('x', port, asked);
      const { client: handle } = await receiveOne(server);
      reply(server, handle, 'y');
    }
    await harness.until(() => from.length === 3, 'the answers');
    assert.deepEqual(from, ['127.0.0.1', '127.0.0.2', '127.0.0.1']);
    client.close();
    server.close();
  });

  it('leaves out a datagram that is longer than its slot, and gives those behind it', async () => {
    const { server, port } = await serve(0x7f000001);
    const client = createSocket('udp4');
    for (const length of [10, 5000, 20, 5000, 30]) {
      client.send(Buffer.alloc(length, length), port, '127.0.0.1');
      await new Promise((resolve) => setImmediate(resolve));
    }
    const lengths: number[] = [];
    await harness.until(() => {
      for (const { bytes } of receive(server)) {
        assert.deepEqual([...new Set(bytes)], [bytes.length]);
        lengths.push(bytes.length);
      }
      return lengths.length === 3;
    }, 'the short ones');
    assert.deepEqual(lengths, [10, 20, 30]);
    assert.equal(harness.counters.get('host-datagram-cut'), 2);
    client.close();
    server.close();
  });

  it('sends the answers of one turn in order, of whatever lengths, to whichever clients', async () => {
    const { server, port } = await serve(0x7f000001);
    const clients = await Promise.all([0, 1].map(() => askingClient(port)));
    const handles = new Map<number, number>();
    await harness.until(() => {
      for (const { client, port: from } of receive(server)) handles.set(from, client);
      return handles.size === 2;
    }, 'both questions');
    const sent: number[][] = [[], []];
    // Runs of one length, shorter ones behind them, empty ones, changes of client: more than fits into one call.
    const lengths = [1200, 1200, 1200, 700, 1200, 0, 0, 1, 1, 2000, 2000, 1472, 1472, 100];
    let room = 120_000;
    for (let i = 0; room > 0; i++) {
      const to = (i >> 3) & 1;
      const length = lengths[i % lengths.length]!;
      assert.equal(reply(server, handles.get(clients[to]!.port)!, Buffer.alloc(length, i)), true);
      sent[to]!.push(length * 256 + (length === 0 ? 0 : i & 255));
      room -= length;
    }
    await harness.until(() => clients.every(({ received }, to) => received.length === sent[to]!.length), 'all answers');
    for (const [to, { received, close }] of clients.entries()) {
      assert.deepEqual(received, sent[to]);
      close();
    }
    assert.equal(harness.counters.get('forward-datagram-unsent'), 0);
    server.close();
  });

  it('sends what it was given before it is closed', async () => {
    const { server, port } = await serve(0x7f000001);
    const client = await askingClient(port);
    const { client: handle } = await receiveOne(server);
    for (let i = 0; i < 10; i++) reply(server, handle, Buffer.alloc(10, i));
    server.close();
    await harness.until(() => client.received.length === 10, 'the answers');
    client.close();
  });

  it('on all IPv6 addresses answers from the one that was asked, link-local ones too', async (t) => {
    if (!needsRoot(t) || !needs(t, 'unshare', 'ip')) return;
    const probe = fileURLToPath(new URL('./multihomed-probe.ts', import.meta.url));
    const args = ['--net', 'sh', '-c', MULTIHOMED, process.execPath, probe];
    const { stdout } = await promisify(execFile)('unshare', args);
    const asked = ['fd00::1', 'fd00::2', 'fe80::7%near'];
    assert.deepEqual(
      JSON.parse(stdout),
      asked.map((address) => ({ asked: address, answered: address, address: -1 })),
    );
  });

  async function serve(address: number): Promise<{ server: HostDatagramServer; port: number }> {
    const { sockets, places } = await harness.bind('udp', [{ address, index: 0 }]);
    const server = harness.host.serveDatagrams(sockets, { readable: () => {} });
    assert.ok(typeof server !== 'string', `cannot serve: ${server as string}`);
    return { server, port: places[0]!.port };
  }

  /** A client that asked once; what it hears is noted as length and byte. */
  async function askingClient(port: number): Promise<{ received: number[]; port: number; close(): void }> {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 }).bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const received: number[] = [];
    socket.on('message', (bytes) => received.push(bytes.length * 256 + (bytes[bytes.length - 1] ?? 0)));
    socket.send('x', port, '127.0.0.1');
    return { received, port: socket.address().port, close: () => void socket.close() };
  }

  function receive(server: HostDatagramServer): { bytes: Uint8Array; client: number; port: number }[] {
    const client = new Int32Array(64);
    const count = server.receive(0, batch, client, at, SLOT_BYTES, 64);
    return Array.from({ length: count }, (_, i) => {
      const from = batch.at[i]!;
      return {
        bytes: harness.arena.bytes.slice(from, from + batch.length[i]!),
        client: client[i]!,
        port: batch.port[i]!,
      };
    });
  }

  async function receiveOne(server: HostDatagramServer): Promise<{ bytes: Uint8Array; client: number }> {
    let found: { bytes: Uint8Array; client: number } | undefined;
    await harness.until(() => {
      found = receive(server)[0];
      return found !== undefined;
    }, 'a datagram');
    return found!;
  }

  function reply(server: HostDatagramServer, client: number, answer: string | Buffer): boolean {
    const bytes = Buffer.from(answer);
    harness.arena.bytes.set(bytes, at);
    return server.send(0, client, at, bytes.length);
  }
});

const batch: DatagramBatch = {
  at: new Int32Array(64),
  length: new Int32Array(64),
  address: new Float64Array(64),
  port: new Int32Array(64),
  ttl: new Int32Array(64),
  dontFragment: new Uint8Array(64),
  tos: new Uint8Array(64),
  count: 0,
};
