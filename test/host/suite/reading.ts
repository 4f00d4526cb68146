import { strict as assert } from 'node:assert';
import { WOULD_BLOCK } from '../../../src/env/host.ts';
import type { HostCase } from './host-case.ts';
import { assertSameBytes, pattern } from './rig.ts';

export const reading: readonly HostCase[] = [
  {
    name: 'a peek fills the slots exactly, a stride apart, and touches nothing between them',
    async run(rig) {
      const { stream, peer } = await rig.dial(await rig.peers.listenTcp());
      peer.send(pattern(3000));
      await rig.waiting(stream, 3000);
      const { bytes } = rig.harness.arena;
      bytes.fill(0xee, rig.readAt, rig.readAt + 6000);
      const peeked = rig.peek(stream, 0, 1000, 3, 1500);
      assert.equal(peeked.result, 3000);
      assertSameBytes(peeked.bytes, pattern(3000));
      for (const at of [1000, 1499, 2500, 2999, 4000, 4499]) assert.equal(bytes[rig.readAt + at], 0xee, `byte ${at}`);
      stream.abort();
    },
  },
  {
    name: 'a peek fills the last slot partly when no more waits, and returns less than was asked',
    async run(rig) {
      const { stream, peer } = await rig.dial(await rig.peers.listenTcp());
      peer.send(pattern(2500));
      await rig.waiting(stream, 2500);
      const peeked = rig.peek(stream, 0, 1000, 64, 1024);
      assert.equal(peeked.result, 2500);
      assertSameBytes(peeked.bytes, pattern(2500));
      assert.equal(rig.peek(stream, 0, 1000, 1).result, 1000);
      stream.abort();
    },
  },
  {
    name: 'bytes stay until they are consumed: a peek at any offset, again and again, gives the same',
    async run(rig) {
      const { stream, peer } = await rig.dial(await rig.peers.listenTcp());
      const all = pattern(20_000);
      for (let at = 0; at < all.length; at += 4000) peer.send(all.subarray(at, at + 4000));
      await rig.waiting(stream, all.length);
      for (const offset of [0, 1, 3999, 4000, 12_345, 19_999, 7, 0]) {
        const expected = all.subarray(offset, offset + 2920);
        assertSameBytes(rig.peek(stream, offset, 1460, 2).bytes, expected, `peek at ${offset}`);
      }
      stream.consume(5000);
      for (const offset of [10_000, 0, 2, 14_999]) {
        const expected = all.subarray(5000 + offset, 5000 + offset + 1460);
        assertSameBytes(rig.peek(stream, offset, 1460, 1).bytes, expected, `peek at ${offset} after consume`);
      }
      stream.abort();
    },
  },
  {
    name: 'a peek past what waits is WOULD_BLOCK, and readable is called when more comes',
    async run(rig) {
      const { stream, events, peer } = await rig.dial(await rig.peers.listenTcp());
      assert.equal(rig.peek(stream, 0, 1460, 4).result, WOULD_BLOCK);
      peer.send(pattern(100));
      await rig.waiting(stream, 100);
      assert.equal(rig.peek(stream, 100, 1460, 4).result, WOULD_BLOCK);
      await rig.settle();
      const before = events.count('readable');
      peer.send(pattern(50, 2));
      await rig.until(() => events.count('readable') > before, 'readable');
      await rig.waiting(stream, 50, 100);
      assertSameBytes(rig.peek(stream, 100, 1460, 4).bytes, pattern(50, 2));
      stream.abort();
    },
  },
  {
    name: 'a FIN is 0 at its own offset only, as often as it is asked, consumed or not',
    async run(rig) {
      const { stream, peer } = await rig.dial(await rig.peers.listenTcp());
      peer.send(pattern(1000));
      peer.end();
      await rig.until(() => rig.peek(stream, 1000, 1460, 4).result === 0, 'the FIN');
      assert.equal(rig.peek(stream, 0, 1460, 4).result, 1000);
      assert.equal(rig.peek(stream, 999, 1460, 4).result, 1);
      assert.equal(rig.peek(stream, 1000, 1460, 4).result, 0);
      stream.consume(400);
      assertSameBytes(rig.peek(stream, 0, 1460, 4).bytes, pattern(1000).subarray(400));
      assert.equal(rig.peek(stream, 600, 1460, 4).result, 0);
      stream.consume(600);
      assert.equal(rig.peek(stream, 0, 1460, 4).result, 0);
      assert.equal(rig.peek(stream, 0, 1460, 4).result, 0);
      assert.equal(stream.error, undefined);
      stream.shutdownWrite();
      stream.close();
    },
  },
  {
    name: 'readable is called for a FIN alone',
    async run(rig) {
      const { stream, events, peer } = await rig.dial(await rig.peers.listenTcp());
      assert.equal(rig.peek(stream, 0, 1460, 1).result, WOULD_BLOCK);
      await rig.settle();
      const before = events.count('readable');
      peer.end();
      await rig.until(() => events.count('readable') > before, 'readable');
      await rig.until(() => rig.peek(stream, 0, 1460, 1).result === 0, 'the FIN');
      stream.abort();
    },
  },
  {
    name: '16 MiB arrive whole, in order, with unconsumed bytes peeked again on the way',
    async run(rig) {
      const { stream, peer } = await rig.dial(await rig.peers.listenTcp());
      const all = pattern(16 << 20);
      peer.send(all);
      peer.end();
      let done = 0;
      await rig.until(() => {
        for (;;) {
          const { result, bytes } = rig.peek(stream, 0, 1460, 64);
          if (result === 0) return true;
          if (result === WOULD_BLOCK) return false;
          assertSameBytes(bytes, all.subarray(done, done + result));
          // Only half is acknowledged; the rest comes again.
          const acknowledged = Math.ceil(result / 2);
          stream.consume(acknowledged);
          done += acknowledged;
        }
      }, 'the end');
      assert.equal(done, all.length);
      stream.abort();
    },
  },
  {
    name: 'a peer is held back while nothing is consumed, and loses nothing',
    async run(rig) {
      const { stream, peer } = await rig.dial(await rig.peers.listenTcp());
      const all = pattern(24 << 20);
      peer.send(all);
      peer.end();
      await rig.waiting(stream, 65_536);
      await rig.settle();
      assert.ok(peer.unsentBytes > 0, 'all 24 MiB were taken though nobody read');
      const { bytes, ending } = await rig.read(stream);
      assertSameBytes(bytes, all);
      assert.equal(ending, 'FIN');
      stream.abort();
    },
  },
];
