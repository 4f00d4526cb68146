import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LOOPBACK4, LOOPBACK6 } from '../../../src/env/host.ts';
import { canPeekAtOffset, type Intake, KernelQueue } from '../../../src/host/epoll/intake.ts';
import type { KernelMemory } from '../../../src/host/epoll/kernel-memory.ts';
import * as libc from '../../../src/host/epoll/libc.ts';
import { Errno } from '../../../src/host/errno.ts';
import { RetentionRing } from '../../../src/host/epoll/ring.ts';
import { createEpollHarness } from './harness.ts';
import { pattern } from './peer.ts';

const FAMILIES = { IPv4: libc.AF_INET, IPv6: libc.AF_INET6, unix: libc.AF_UNIX } as const;
const STRIDE = 1500;

/** Two connected stream sockets of the family. */
function connectedPair(memory: KernelMemory, family: number): readonly [number, number] {
  const { base, scalar, name } = memory;
  if (family === libc.AF_UNIX) {
    assert.equal(libc.socketpair(family, libc.SOCK_STREAM | libc.SOCK_FLAGS, 0, base + scalar), 0);
    return [memory.i32(scalar), memory.i32(scalar + 4)];
  }
  const listener = libc.socket(family, libc.SOCK_STREAM | libc.SOCK_FLAGS, 0);
  const client = libc.socket(family, libc.SOCK_STREAM | libc.SOCK_FLAGS, 0);
  const length = memory.writeAddress(name, family === libc.AF_INET ? LOOPBACK4 : LOOPBACK6, 0);
  assert.equal(libc.bind(listener, base + name, length), 0);
  assert.equal(libc.listen(listener, 1), 0);
  memory.setU32(scalar, length);
  libc.getsockname(listener, base + name, base + scalar);
  libc.connect(client, base + name, length);
  const server = libc.accept4(listener, 0, 0, libc.SOCK_FLAGS);
  assert.ok(server >= 0);
  libc.close(listener);
  return [client, server];
}

/** The same numbers each run. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >>> 8) % below;
  };
}

function makeIntake(kind: 'kernel' | 'ring', memory: KernelMemory, fd: number, family: number): Intake {
  return kind === 'ring' ? new RetentionRing(memory, fd) : new KernelQueue(memory, fd, family === libc.AF_UNIX);
}

for (const [name, family] of Object.entries(FAMILIES)) {
  for (const kind of ['kernel', 'ring'] as const) {
    describe(`received bytes of ${name} in the ${kind === 'kernel' ? 'kernel queue' : 'ring'}`, () => {
      it('agree with a plain copy through random peeks, rewinds and consumes', async (t) => {
        const harness = createEpollHarness();
        t.after(() => harness.close());
        const { memory, arena } = harness;
        if (kind === 'kernel' && !canPeekAtOffset(memory, family)) {
          t.skip('this kernel cannot peek at an offset there (Linux 6.9)');
          return;
        }
        const [fd, peer] = connectedPair(memory, family);
        const intake = makeIntake(kind, memory, fd, family);
        const bytes = pattern(400_000);
        const source = arena.allocate(bytes.length);
        const at = arena.allocate(64 * STRIDE);
        arena.bytes.set(bytes, source);
        const random = randomFrom(family);
        let sent = 0;
        let consumed = 0;
        let seen = 0;
        for (let step = 0; consumed < bytes.length; step++) {
          assert.ok(step < 50_000, 'no progress');
          if (sent < bytes.length && random(3) === 0) {
            const length = Math.min(1 + random(20_000), bytes.length - sent);
            sent += Math.max(0, libc.send(peer, memory.base + source + sent, length, libc.MSG_DONTWAIT));
          }
          const offset = random(2) === 0 ? seen - consumed : random(seen - consumed + 1);
          const slotBytes = 1 + random(1460);
          const copied = intake.peek(offset, at, slotBytes, STRIDE, 1 + random(64));
          if (copied === -Errno.EAGAIN) continue;
          assert.ok(copied > 0, `peek returned ${copied}`);
          for (let done = 0, slot = at; done < copied; done += slotBytes, slot += STRIDE) {
            const length = Math.min(slotBytes, copied - done);
            const start = consumed + offset + done;
            assert.ok(Buffer.compare(arena.bytes.slice(slot, slot + length), bytes.slice(start, start + length)) === 0);
          }
          seen = Math.max(seen, consumed + offset + copied);
          const length = random(seen - consumed + 1);
          intake.consume(length);
          consumed += length;
        }
        libc.close(peer);
        assert.equal(intake.peek(0, at, 100, 100, 1), 0);
        libc.close(fd);
      });
    });
  }
}
