import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { listenPrivately } from '../../../src/control/service-socket.ts';
import { Counters } from '../../../src/env/counters.ts';
import { writeProxyV2 } from '../../../src/host/proxy-v2.ts';
import { type DnsAnswers, DnsStreamServer } from '../../../src/services/dns/dns-stream-server.ts';
import { StreamMessages, withLength } from '../../../src/services/dns/upstream/stream-messages.ts';
import { DNS_TYPE_A } from '../../../src/wire/dns-message.ts';
import { deferred } from '../../support/deferred.ts';
import { queryBytes } from '../../support/dns-messages.ts';

const ORIGIN = { guestAddress: 0xc0a84103, guestPort: 40000, originalAddress: 0xc0a84101, originalPort: 53 };

interface World {
  readonly counters: Counters;
  readonly path: string;
  /** A connection that has introduced itself. */
  dial(guest?: number): Socket;
}

/** A server whose questions `answer` answers. */
async function start(t: TestContext, answer: DnsAnswers['answer']): Promise<World> {
  const counters = new Counters();
  const streams = new DnsStreamServer({ answer }, 'internal', counters);
  const listening = await listenPrivately(streams.server, 'dns');
  t.after(() => {
    listening.close();
    streams.close();
  });
  const dial = (guest = ORIGIN.guestAddress): Socket => {
    const socket = connect(listening.path);
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    socket.write(writeProxyV2({ ...ORIGIN, guestAddress: guest, attachment: `guest ${guest}` }));
    return socket;
  };
  return { counters, path: listening.path, dial };
}

function question(id: number): Uint8Array {
  return withLength(queryBytes('host.example', DNS_TYPE_A, { id }));
}

/** Reads `count` messages; their ids. Rejects when the connection closes before. */
function ids(socket: Socket, count: number): Promise<number[]> {
  const messages = new StreamMessages();
  const found: number[] = [];
  const { promise, resolve, reject } = deferred<number[]>();
  const closed = (): void => reject(new Error('closed too soon'));
  const read = (bytes: Uint8Array): void => {
    messages.push(bytes);
    for (let m = messages.next(); m !== undefined; m = messages.next()) found.push((m[0]! << 8) | m[1]!);
    if (found.length < count) return;
    socket.off('data', read).off('close', closed);
    resolve(found);
  };
  socket.on('data', read).on('close', closed);
  return promise;
}

const echo: DnsAnswers['answer'] = (bytes) => bytes;

test('questions that arrive byte by byte are answered, with the guest, the transport and the server that was asked', async (t) => {
  const asked: unknown[] = [];
  const { dial } = await start(t, (bytes, guest, transport, server) => {
    asked.push(guest, transport, server);
    return bytes;
  });
  const socket = dial();
  for (const byte of [...question(1), ...question(2)]) socket.write(Uint8Array.of(byte));
  assert.deepEqual(await ids(socket, 2), [1, 2]);
  const asker = `guest ${ORIGIN.guestAddress}`;
  assert.deepEqual(asked, [asker, 'tcp', 'internal', asker, 'tcp', 'internal']);
});

test('the longest message may come in any pieces', async (t) => {
  const { dial } = await start(t, echo);
  const socket = dial();
  const message = withLength(new Uint8Array(65_535).fill(7));
  for (let at = 0; at < message.length; at += 97) socket.write(message.subarray(at, at + 97));
  assert.deepEqual(await ids(socket, 1), [0x0707]);
});

test('pipelined questions are answered as their answers come, and after the client’s end', async (t) => {
  const waiting = new Map<number, (bytes: Uint8Array) => void>();
  const both = deferred<void>();
  const { dial } = await start(t, (bytes) => {
    const id = bytes[1]!;
    if (id === 3) return bytes;
    const { promise, resolve } = deferred<Uint8Array>();
    waiting.set(id, () => resolve(bytes));
    if (waiting.size === 2) both.resolve();
    return promise;
  });
  const socket = dial();
  socket.end(Buffer.concat([question(1), question(2), question(3)]));
  const answered = ids(socket, 3);
  await both.promise;
  waiting.get(2)!(new Uint8Array(0));
  waiting.get(1)!(new Uint8Array(0));
  assert.deepEqual(await answered, [3, 2, 1]);
  if (!socket.closed) await once(socket, 'close');
});

test('with 32 questions on their way a connection is not read, and goes on when one is answered', async (t) => {
  const waiting: (() => void)[] = [];
  const full = deferred<void>();
  const { dial } = await start(t, (bytes) => {
    const { promise, resolve } = deferred<Uint8Array>();
    waiting.push(() => resolve(bytes));
    if (waiting.length === 32) full.resolve();
    return promise;
  });
  const socket = dial();
  socket.write(Buffer.concat(Array.from({ length: 100 }, (_, i) => question(i))));
  await full.promise;
  assert.equal(waiting.length, 32);
  const answered = ids(socket, 100);
  for (let done = 0; done < 100; done++) {
    while (waiting[done] === undefined) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(waiting.length <= done + 32);
    waiting[done]!();
  }
  assert.deepEqual(
    await answered,
    Array.from({ length: 100 }, (_, i) => i),
  );
});

test('a client that does not read its answers is not read', async (t) => {
  let asked = 0;
  const big = new Uint8Array(60_000);
  const { dial } = await start(t, () => {
    asked++;
    return big;
  });
  const socket = dial();
  socket.pause();
  const total = 1000;
  socket.write(Buffer.concat(Array.from({ length: total }, (_, i) => question(i))));
  let before = -1;
  // Until a round of everything that can happen brings no further question.
  for (let quiet = 0; quiet < 50; quiet = asked === before ? quiet + 1 : 0) {
    before = asked;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(asked > 0 && asked < total / 2, `${asked} asked`);
  const answered = ids(socket, total);
  socket.resume();
  assert.equal((await answered).length, total);
});

test('a connection that begins otherwise, or sends what is no question, is closed and counted', async (t) => {
  const { counters, dial, path } = await start(t, (bytes) => (bytes.length < 12 ? undefined : bytes));
  const stranger = connect(path);
  stranger.on('error', () => {}).resume();
  stranger.write('GET / HTTP/1.1\r\n\r\n');
  await once(stranger, 'close');
  assert.equal(counters.get('dns-stream-fault'), 1);
  const guest = dial();
  guest.write(Uint8Array.of(0, 3, 1, 2, 3));
  guest.resume();
  await once(guest, 'close');
  assert.equal(counters.get('dns-stream-fault'), 2);
});

test('one guest has at most a quarter of the connections', async (t) => {
  const { counters, dial } = await start(t, echo);
  const open = Array.from({ length: 32 }, () => dial());
  for (const [i, socket] of open.entries()) {
    socket.write(question(i));
    await ids(socket, 1);
  }
  const refused = dial();
  refused.resume();
  await once(refused, 'close');
  assert.equal(counters.get('dns-stream-over-limit'), 1);
  const other = dial(ORIGIN.guestAddress + 1);
  other.write(question(7));
  assert.deepEqual(await ids(other, 1), [7]);
  open[0]!.destroy();
  // The server hears of the end when it comes to it.
  for (let first: number | undefined; first !== 9; ) {
    const again = dial();
    again.write(question(9));
    [first] = await ids(again, 1).catch(() => []);
  }
});
