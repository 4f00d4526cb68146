import { strict as assert } from 'node:assert';
import { FAILED } from '../../../src/env/host.ts';
import type { HostCase } from './host-case.ts';
import { assertSameBytes, pattern } from './rig.ts';

export const resets: readonly HostCase[] = [
  {
    name: 'a peer that sends 10 bytes and resets: the 10 bytes, then ECONNRESET, never a clean end',
    async run(rig) {
      const { stream, peer } = await rig.dial(await rig.peers.listenTcp());
      peer.send(pattern(10));
      peer.reset();
      const { bytes, ending } = await rig.read(stream);
      assertSameBytes(bytes, pattern(10));
      assert.equal(ending, 'ECONNRESET');
      for (let i = 0; i < 3; i++) assert.equal(rig.peek(stream, 0, 1460, 1).result, FAILED);
      assert.equal(stream.error, 'ECONNRESET');
      stream.abort();
    },
  },
  {
    name: 'bytes that were peeked before the reset stay: they can be peeked again and consumed',
    async run(rig) {
      const { stream, events, peer } = await rig.dial(await rig.peers.listenTcp());
      peer.send(pattern(1000));
      await rig.waiting(stream, 1000);
      await rig.settle();
      const before = events.calls.length;
      peer.reset();
      await rig.until(() => events.calls.length > before, 'a call about the reset');
      await rig.until(() => rig.peek(stream, 1000, 1460, 1).result === FAILED, 'the error behind the bytes');
      assertSameBytes(rig.peek(stream, 0, 1460, 1).bytes, pattern(1000));
      stream.consume(600);
      assertSameBytes(rig.peek(stream, 0, 1460, 1).bytes, pattern(1000).subarray(600));
      stream.consume(400);
      assert.equal(rig.peek(stream, 0, 1460, 1).result, FAILED);
      assert.equal(stream.error, 'ECONNRESET');
      stream.abort();
    },
  },
  {
    name: 'a reset is told by `error` while the bytes before it are still to be read',
    async run(rig) {
      const { stream, peer } = await rig.dial(await rig.peers.listenTcp());
      peer.send(pattern(1000));
      await rig.waiting(stream, 1000);
      await rig.settle();
      assert.equal(stream.error, undefined);
      peer.reset();
      await rig.until(() => stream.error === 'ECONNRESET', 'the error ahead of the bytes');
      const { bytes, ending } = await rig.read(stream);
      assertSameBytes(bytes, pattern(1000));
      assert.equal(ending, 'ECONNRESET');
      stream.abort();
    },
  },
  {
    name: 'a reset with 1 MiB unread: what arrived is a prefix, and the ending ECONNRESET',
    async run(rig) {
      const { stream, peer } = await rig.dial(await rig.peers.listenTcp());
      const all = pattern(1 << 20);
      peer.send(all);
      await rig.waiting(stream, 65_536);
      await rig.settle();
      peer.reset();
      await rig.settle();
      const { bytes, ending } = await rig.read(stream);
      assert.ok(bytes.length >= 65_536);
      assertSameBytes(bytes, all.subarray(0, bytes.length));
      assert.equal(ending, 'ECONNRESET');
      stream.abort();
    },
  },
  {
    name: 'a reset is heard of without reading, and fails writes too',
    async run(rig) {
      const { stream, events, peer } = await rig.dial(await rig.peers.listenTcp());
      await rig.settle();
      const before = events.calls.length;
      peer.reset();
      await rig.until(() => events.calls.length > before, 'a call about the reset');
      await rig.until(() => rig.write(stream, pattern(10)) === FAILED, 'a write that fails');
      assert.equal(stream.error, 'ECONNRESET');
      assert.equal(rig.peek(stream, 0, 1460, 1).result, FAILED);
      stream.abort();
    },
  },
  {
    name: 'a reset while a slow reader holds writes back fails the stream',
    async run(rig) {
      const { stream, peer } = await rig.dial(await rig.peers.listenTcp({ paused: true }));
      await rig.fill(stream, pattern(1 << 20));
      peer.reset();
      await rig.until(() => rig.peek(stream, 0, 1460, 1).result === FAILED, 'the error');
      assert.equal(stream.error, 'ECONNRESET');
      stream.abort();
    },
  },
];
