import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { type HostStreamHandler, LOOPBACK4, WOULD_BLOCK } from '../../../src/env/host.ts';
import { MemoryHost } from '../../../src/host/memory/memory-host.ts';
import { echo, type MemoryPeer } from '../../../src/host/memory/memory-stream.ts';
import { PlainArena } from '../../support/plain-arena.ts';
import { addPiece, makePieces, pattern } from '../suite/rig.ts';

function recorder(log: string[]): HostStreamHandler {
  return {
    connected: () => log.push('connected'),
    failed: (code) => log.push(code),
    readable: () => log.push('readable'),
    writable: () => log.push('writable'),
  };
}

function onePiece(at: number, length: number): ReturnType<typeof makePieces> {
  const pieces = makePieces(1);
  addPiece(pieces, at, length);
  return pieces;
}

test('nothing happens without a step, and each step does one thing', () => {
  const host = new MemoryHost(new PlainArena(1 << 20));
  host.listenTcp(LOOPBACK4, 7, echo);
  const log: string[] = [];
  const stream = host.dial(LOOPBACK4, 7, 0, recorder(log));
  assert.ok(typeof stream !== 'string');
  assert.deepEqual(log, []);
  assert.equal(host.step(), true);
  assert.deepEqual(log, ['connected']);
  host.deliver();
  assert.equal(stream.write(onePiece(0, 10)), 10);
  assert.equal(stream.peekInto(0, 100, 10, 10, 1), WOULD_BLOCK);
  host.deliver();
  assert.deepEqual(log, ['connected', 'writable', 'readable']);
  assert.equal(stream.peekInto(0, 100, 10, 10, 1), 10);
  assert.equal(host.step(), false);
});

test('the same script gives the same run', () => {
  const run = (): string => {
    const log: string[] = [];
    const host = new MemoryHost(new PlainArena(1 << 20), { limits: { hostReceiveBytes: 1000 } });
    const peers: MemoryPeer[] = [];
    host.listenTcp(LOOPBACK4, 80, (peer) => {
      peers.push(peer);
      peer.send(pattern(5000, peers.length));
      return { data: (bytes) => log.push(`got ${bytes.length}`), end: () => log.push('end') };
    });
    const streams = [0, 1, 2].map(() => host.dial(LOOPBACK4, 80, 0, recorder(log)));
    while (host.step()) {
      for (const stream of streams) {
        if (typeof stream === 'string') continue;
        const length = stream.peekInto(0, 0, 300, 300, 2);
        log.push(`${length}`);
        if (length > 0) stream.consume(length);
        if (length > 0) stream.write(onePiece(0, length));
      }
    }
    return log.join(' ');
  };
  assert.equal(run(), run());
});

test('two peers that answer each other for ever are a fault of the script, not a hang', { timeout: 60_000 }, () => {
  const host = new MemoryHost(new PlainArena(1 << 20));
  const again = (): void => host.deliveries.add(again);
  again();
  assert.throws(() => host.deliver(), /answer each other for ever/);
});

test('a loop is woken when something is under way', () => {
  const host = new MemoryHost(new PlainArena(1 << 20));
  let woken = 0;
  host.deliveries.onQueued = () => {
    woken++;
  };
  host.dial(LOOPBACK4, 1, 0, recorder([]));
  host.dial(LOOPBACK4, 2, 0, recorder([]));
  assert.equal(woken, 1);
  host.deliver();
  host.dial(LOOPBACK4, 3, 0, recorder([]));
  assert.equal(woken, 2);
});
