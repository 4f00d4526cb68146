import { strict as assert } from 'node:assert';
import type { PeerConnection } from './harness.ts';
import type { HostCase } from './host-case.ts';
import { addPiece, assertSameBytes, makePieces, pattern } from './rig.ts';

export const writing: readonly HostCase[] = [
  {
    name: 'a write gathers its pieces in their order, wherever they lie',
    async run(rig) {
      const { stream, peer } = await rig.dial(await rig.peers.listenTcp());
      const source = pattern(5000);
      rig.harness.arena.bytes.set(source, rig.writeAt);
      const pieces = makePieces(8);
      const cuts = [
        [3000, 1460],
        [0, 1],
        [4999, 1],
        [100, 536],
      ] as const;
      for (const [at, length] of cuts) addPiece(pieces, rig.writeAt + at, length);
      assert.equal(stream.write(pieces), 1998);
      await rig.until(() => peer.receivedBytes === 1998, 'the bytes');
      assertSameBytes(peer.received(), Buffer.concat(cuts.map(([at, length]) => source.subarray(at, at + length))));
      stream.abort();
    },
  },
  {
    name: 'what a write took is copied: the pieces may be reused at once',
    async run(rig) {
      const server = await rig.peers.listenTcp({ paused: true });
      const { stream, peer } = await rig.dial(server);
      const bytes = pattern(200_000);
      const taken = rig.write(stream, bytes);
      assert.ok(taken > 0);
      rig.harness.arena.bytes.fill(0, rig.writeAt, rig.writeAt + bytes.length);
      peer.resume();
      await rig.until(() => peer.receivedBytes === taken, 'the bytes');
      assertSameBytes(peer.received(), bytes.subarray(0, taken));
      stream.abort();
    },
  },
  {
    name: 'what has not reached the peer is told, where the engine knows it, until all has, the FIN too',
    async run(rig) {
      const server = await rig.peers.listenTcp({ paused: true });
      const { stream, peer } = await rig.dial(server);
      const taken = await rig.fill(stream, pattern(1 << 20));
      const left = stream.unacknowledged;
      assert.ok(left === undefined || (left > 0 && left <= taken), `${left} of ${taken}`);
      stream.shutdownWrite();
      peer.resume();
      await rig.until(() => (stream.unacknowledged ?? 0) === 0, 'all of it there');
      await rig.until(() => peer.receivedBytes === taken, 'the bytes');
      stream.abort();
      assert.equal(stream.unacknowledged ?? 0, 0);
    },
  },
  {
    name: 'a slow reader makes writes partial, then 0, then writable is called and nothing is lost',
    async run(rig) {
      const server = await rig.peers.listenTcp({ paused: true });
      const { stream, events, peer } = await rig.dial(server);
      const block = pattern(1 << 20);
      const taken = await rig.fill(stream, block);
      await rig.settle();
      const before = events.count('writable');
      peer.resume();
      await rig.until(() => events.count('writable') > before, 'writable');
      await rig.until(() => peer.receivedBytes === taken, 'all that was taken');
      assertRepeats(peer, block, taken);
      await rig.writeAll(stream, pattern(10, 9));
      await rig.until(() => peer.receivedBytes === taken + 10, 'what follows');
      stream.abort();
    },
  },
  {
    name: 'after shutdownWrite the peer reads all and a FIN, and its own data still arrives',
    async run(rig) {
      const { stream, peer } = await rig.dial(await rig.peers.listenTcp());
      await rig.writeAll(stream, pattern(300_000));
      stream.shutdownWrite();
      stream.shutdownWrite();
      await rig.until(() => peer.ended, 'the FIN');
      assertSameBytes(peer.received(), pattern(300_000));
      peer.send(pattern(300_000, 2));
      peer.end();
      const { bytes, ending } = await rig.read(stream);
      assertSameBytes(bytes, pattern(300_000, 2));
      assert.equal(ending, 'FIN');
      assert.equal(peer.error, undefined);
      stream.close();
    },
  },
  {
    name: 'after the peer ended, what is written still reaches it',
    async run(rig) {
      const { stream, peer } = await rig.dial(await rig.peers.listenTcp());
      peer.end();
      assert.equal((await rig.read(stream)).ending, 'FIN');
      await rig.settle();
      await rig.writeAll(stream, pattern(300_000));
      stream.shutdownWrite();
      await rig.until(() => peer.ended, 'the FIN');
      assertSameBytes(peer.received(), pattern(300_000));
      assert.equal(peer.error, undefined);
      stream.close();
    },
  },
  {
    name: 'close delivers all that was written to a slow reader, then a FIN',
    async run(rig) {
      const server = await rig.peers.listenTcp({ paused: true });
      const { stream, peer } = await rig.dial(server);
      peer.end();
      assert.equal((await rig.read(stream)).ending, 'FIN');
      const block = pattern(1 << 20);
      const taken = await rig.fill(stream, block);
      stream.shutdownWrite();
      stream.close();
      await rig.settle();
      peer.resume();
      await rig.until(() => peer.ended, 'the FIN');
      assert.equal(peer.receivedBytes, taken);
      assertRepeats(peer, block, taken);
      assert.equal(peer.error, undefined);
    },
  },
  {
    name: 'abort resets the peer',
    async run(rig) {
      const { stream, peer } = await rig.dial(await rig.peers.listenTcp());
      await rig.writeAll(stream, pattern(10));
      await rig.until(() => peer.receivedBytes === 10, 'the bytes');
      stream.abort();
      stream.abort();
      await rig.until(() => peer.error !== undefined, 'the reset');
      assert.equal(peer.error, 'ECONNRESET');
      assert.equal(peer.ended, false);
    },
  },
  {
    name: 'abort after close cuts short what is still on its way',
    async run(rig) {
      const server = await rig.peers.listenTcp({ paused: true });
      const { stream, peer } = await rig.dial(server);
      peer.end();
      await rig.read(stream);
      const taken = await rig.fill(stream, pattern(1 << 20));
      stream.close();
      await rig.settle();
      stream.abort();
      stream.abort();
      peer.resume();
      await rig.until(() => peer.error !== undefined, 'the reset');
      assert.equal(peer.error, 'ECONNRESET');
      assert.ok(peer.receivedBytes < taken);
    },
  },
];

/** What `Rig.fill` writes: `block` over and over. */
function assertRepeats(peer: PeerConnection, block: Uint8Array, length: number): void {
  const received = peer.received();
  for (let at = 0; at < length; at += block.length) {
    const expected = block.subarray(0, Math.min(block.length, length - at));
    assertSameBytes(received.subarray(at, at + expected.length), expected, `from ${at}`);
  }
}
