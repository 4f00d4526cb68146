import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import type { DatagramBatch, DatagramFailure, HostDatagram, HostDatagramHandler } from '../../../src/env/host.ts';
import { LOOPBACK4, LOOPBACK6 } from '../../../src/env/host.ts';
import { createEpollHarness, type EpollHarness } from './harness.ts';
import { ascii, pattern } from './peer.ts';

const SLOT_BYTES = 65_536;

class DatagramRecorder implements HostDatagramHandler {
  readonly failures: DatagramFailure[] = [];
  readableCalls = 0;

  readable(): void {
    this.readableCalls++;
  }

  failed(failure: DatagramFailure): void {
    this.failures.push({ ...failure });
  }
}

interface Item {
  readonly bytes: Uint8Array;
  readonly port: number;
  readonly address?: number;
  readonly ttl?: number;
  readonly dontFragment?: boolean;
}

/** A batch of these items, their payloads laid out in the arena from `at` on. */
function batchOf(harness: EpollHarness, at: number, items: readonly Item[]): DatagramBatch {
  const batch = emptyBatch();
  let next = at;
  items.forEach((item, i) => {
    harness.arena.bytes.set(item.bytes, next);
    batch.at[i] = next;
    batch.length[i] = item.bytes.length;
    batch.address[i] = item.address ?? LOOPBACK4;
    batch.port[i] = item.port;
    batch.ttl[i] = item.ttl ?? 0;
    batch.dontFragment[i] = item.dontFragment === true ? 1 : 0;
    next += item.bytes.length;
  });
  batch.count = items.length;
  return batch;
}

function emptyBatch(): DatagramBatch {
  return {
    at: new Int32Array(256),
    length: new Int32Array(256),
    address: new Float64Array(256),
    port: new Int32Array(256),
    ttl: new Int32Array(256),
    dontFragment: new Uint8Array(256),
    tos: new Uint8Array(256),
    count: 0,
  };
}

async function echoServer(t: TestContext, type: 'udp4' | 'udp6' = 'udp4'): Promise<{ port: number; texts: string[] }> {
  const server = dgram.createSocket({ type, recvBufferSize: 4 * 2 ** 20 });
  const texts: string[] = [];
  server.on('message', (message, from) => {
    texts.push(String(message));
    server.send(message, from.port, from.address);
  });
  server.bind(0, type === 'udp4' ? '127.0.0.1' : '::1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { port: server.address().port, texts };
}

/** A port that nobody has any more. */
async function deadPort(): Promise<number> {
  const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

function open(t: TestContext): { harness: EpollHarness; recorder: DatagramRecorder; socket: HostDatagram; at: number } {
  const harness = createEpollHarness();
  t.after(() => harness.close());
  const recorder = new DatagramRecorder();
  const socket = harness.host.openDatagram(recorder);
  assert.ok(typeof socket !== 'string', `openDatagram: ${socket}`);
  return { harness, recorder, socket, at: harness.arena.allocate(64 * SLOT_BYTES) };
}

/** Receives until `count` datagrams came. */
async function collect(harness: EpollHarness, socket: HostDatagram, at: number, count: number): Promise<Uint8Array[]> {
  const batch = emptyBatch();
  const found: Uint8Array[] = [];
  await harness.until(() => {
    const received = socket.receive(batch, at, SLOT_BYTES, 64);
    assert.equal(batch.count, received);
    for (let i = 0; i < received; i++) {
      const from = batch.at[i] as number;
      found.push(harness.arena.bytes.slice(from, from + (batch.length[i] as number)));
    }
    return found.length >= count;
  }, `${count} datagrams`);
  return found;
}

describe('a UDP socket', () => {
  it('bears the type of service that each datagram was given, and tells what it came with', async (t) => {
    const harness = createEpollHarness();
    t.after(() => harness.close());
    const handler = { readable: (): void => {}, failed: (): void => {} };
    const [from, to] = [harness.host.openDatagram(handler), harness.host.openDatagram(handler)];
    assert.ok(typeof from !== 'string' && typeof to !== 'string');
    const at = harness.arena.allocate(2 ** 20);
    // The port of `to`, by asking somebody.
    const server = dgram.createSocket('udp4').bind(0, '127.0.0.1');
    t.after(() => server.close());
    await once(server, 'listening');
    const asked = once(server, 'message') as Promise<[Buffer, { port: number }]>;
    to.send(batchOf(harness, at, [{ bytes: Uint8Array.of(1), port: server.address().port }]));
    const [, { port }] = await asked;
    const marks = [0, 0xb8, 0xb8, 0x02, 0, 0x03, 0x48];
    const sent = batchOf(
      harness,
      at,
      marks.map((_, i) => ({ bytes: Uint8Array.of(i), port })),
    );
    sent.tos.set(marks);
    assert.equal(from.send(sent), 0);
    const got: number[] = [];
    const batch = emptyBatch();
    await harness.until(() => {
      const count = to.receive(batch, at, 2048, 64);
      for (let i = 0; i < count; i++) got.push(batch.tos[i]!);
      return got.length === marks.length;
    }, 'all of them');
    assert.deepEqual(got, marks);
  });

  it('sends and receives datagrams of every size, whole', async (t) => {
    const { port } = await echoServer(t);
    const { harness, socket, at } = open(t);
    for (const size of [0, 1, 1472, 8000, 65_507]) {
      const bytes = pattern(size);
      assert.equal(socket.send(batchOf(harness, at, [{ bytes, port }])), 0);
      const [answer] = await collect(harness, socket, at, 1);
      assert.deepEqual(answer, bytes);
    }
  });

  it('sends more than one system call takes and keeps the order', async (t) => {
    const { port, texts } = await echoServer(t);
    const { harness, socket, at } = open(t);
    const items = Array.from({ length: 200 }, (_, i) => ({ bytes: ascii(`n${i}`), port, ttl: i % 50 < 25 ? 0 : 7 }));
    assert.equal(socket.send(batchOf(harness, at, items)), 0);
    await collect(harness, socket, at, 200);
    assert.deepEqual(
      texts,
      items.map(({ bytes }) => String(Buffer.from(bytes))),
    );
  });

  it('does not let an error from one peer cost a datagram to another', async (t) => {
    const { port, texts } = await echoServer(t);
    const dead = await deadPort();
    const { harness, recorder, socket, at } = open(t);
    for (let round = 0; round < 20; round++) {
      const items = [
        { bytes: ascii(`a${round}`), port },
        { bytes: ascii('lost'), port: dead },
        { bytes: ascii(`b${round}`), port },
        { bytes: ascii('lost'), port: dead },
      ];
      assert.equal(socket.send(batchOf(harness, at, items)), 0);
    }
    await collect(harness, socket, at, 40);
    await harness.until(() => recorder.failures.length > 0, 'a failure');
    assert.equal(texts.length, 40);
    for (const failure of recorder.failures) {
      assert.equal(failure.code, 'ECONNREFUSED');
      assert.deepEqual([failure.icmpType, failure.icmpCode], [3, 3]);
      assert.deepEqual([failure.address, failure.port, failure.offender], [LOOPBACK4, dead, LOOPBACK4]);
    }
  });

  it('reports what the host itself refuses and goes on with the next datagram', async (t) => {
    const { port, texts } = await echoServer(t);
    const { harness, recorder, socket, at } = open(t);
    const items = [
      { bytes: pattern(65_508), port },
      { bytes: ascii('broadcast'), port, address: 0xffffffff },
      { bytes: ascii('fine'), port },
    ];
    assert.equal(socket.send(batchOf(harness, at, items)), 0);
    await harness.until(() => texts.length === 1, 'the good datagram');
    assert.deepEqual(
      recorder.failures.map(({ code, length, icmpType }) => ({ code, length, icmpType })),
      [
        { code: 'EMSGSIZE', length: 65_508, icmpType: -1 },
        { code: 'EACCES', length: 9, icmpType: -1 },
      ],
    );
  });

  it('reaches [::1] beside IPv4, with its errors in the words of IPv4', async (t) => {
    const six = await echoServer(t, 'udp6');
    const four = await echoServer(t);
    const dead = await deadPort();
    const { harness, recorder, socket, at } = open(t);
    const items = [
      { bytes: ascii('six'), port: six.port, address: LOOPBACK6 },
      { bytes: ascii('four'), port: four.port },
      { bytes: ascii('nobody'), port: dead, address: LOOPBACK6 },
    ];
    assert.equal(socket.send(batchOf(harness, at, items)), 0);
    await collect(harness, socket, at, 2);
    await harness.until(() => recorder.failures.length > 0, 'the refusal');
    assert.deepEqual([six.texts, four.texts], [['six'], ['four']]);
    const [failure] = recorder.failures;
    assert.deepEqual([failure?.icmpType, failure?.icmpCode, failure?.address], [3, 3, LOOPBACK6]);
  });

  it('drops what was cut to fit its slot, counted, and hands up what came behind it', async (t) => {
    const { port } = await echoServer(t);
    const { harness, socket, at } = open(t);
    const items = [
      { bytes: pattern(3000), port },
      { bytes: ascii('behind'), port },
    ];
    socket.send(batchOf(harness, at, items));
    const batch = emptyBatch();
    let text = '';
    await harness.until(() => {
      if (socket.receive(batch, at, 1000, 1) > 0) {
        text = String(Buffer.from(harness.arena.bytes.slice(batch.at[0], (batch.at[0] as number) + 6)));
      }
      return text !== '';
    }, 'the second datagram');
    assert.equal(text, 'behind');
    assert.equal(harness.counters.get('host-datagram-cut'), 1);
  });

  it('is silent after close', async (t) => {
    const dead = await deadPort();
    const { harness, recorder, socket, at } = open(t);
    socket.send(batchOf(harness, at, [{ bytes: ascii('lost'), port: dead }]));
    socket.close();
    await harness.poll();
    await harness.poll();
    assert.deepEqual([recorder.failures.length, recorder.readableCalls], [0, 0]);
    assert.deepEqual(harness.descriptors.list('flow'), []);
    assert.equal(socket.send(batchOf(harness, at, [{ bytes: ascii('late'), port: dead }])), 1, 'dropped');
    assert.equal(socket.receive(emptyBatch(), at, SLOT_BYTES, 64), 0);
  });
});

describe('an echo socket', () => {
  /** An echo request with a valid checksum. */
  function request(identifier: number, sequence: number, data: Uint8Array): Uint8Array {
    const bytes = new Uint8Array(8 + data.length);
    const view = new DataView(bytes.buffer);
    view.setUint8(0, 8);
    view.setUint16(4, identifier);
    view.setUint16(6, sequence);
    bytes.set(data, 8);
    view.setUint16(2, ~sum(bytes) & 0xffff);
    return bytes;
  }

  function sum(bytes: Uint8Array): number {
    let total = 0;
    for (let i = 0; i < bytes.length; i++) total += (bytes[i] as number) << (i % 2 === 0 ? 8 : 0);
    while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
    return total;
  }

  it('brings replies with the sequence and data of the request and a valid checksum', async (t) => {
    const harness = createEpollHarness();
    t.after(() => harness.close());
    if (!harness.host.capabilities.ping) {
      t.skip(harness.host.capabilities.pingHint);
      return;
    }
    const at = harness.arena.allocate(64 * SLOT_BYTES);
    const sockets = [1, 2].map(() => {
      const socket = harness.host.openEcho(new DatagramRecorder());
      assert.ok(typeof socket !== 'string', `openEcho: ${socket}`);
      return socket;
    });
    for (const [i, socket] of sockets.entries()) {
      const items = [10, 11, 12].map((sequence) => ({
        bytes: request(0x1234, sequence, ascii(`data of ${i}`)),
        port: 0,
      }));
      assert.equal(socket.send(batchOf(harness, at, items)), 0);
      assert.equal(new DataView(harness.arena.bytes.buffer).getUint16(at + 4), 0x1234, 'the request is left as it was');
    }
    for (const [i, socket] of sockets.entries()) {
      const replies = await collect(harness, socket, at, 3);
      assert.equal(replies.length, 3);
      assert.deepEqual(
        replies.map((reply) => new DataView(reply.buffer).getUint16(6)),
        [10, 11, 12],
      );
      for (const reply of replies) {
        assert.equal(reply[0], 0);
        assert.equal(sum(reply), 0xffff);
        assert.equal(String(Buffer.from(reply.subarray(8))), `data of ${i}`);
      }
    }
  });
});
