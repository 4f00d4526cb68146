import { strict as assert } from 'node:assert';
import { FAILED, type HostPipe, type HostPipeHandler, WOULD_BLOCK } from '../../../src/env/host.ts';
import type { PeerConnection } from './harness.ts';
import type { HostCase } from './host-case.ts';
import { assertSameBytes, pattern, type Rig } from './rig.ts';

export const pipes: readonly HostCase[] = [
  {
    name: 'a pipe carries a guest’s stream both ways, however it is cut into reads and writes',
    needs: ['pipes'],
    async run(rig) {
      await withPipes(rig, async (connect) => {
        const { pipe, guest, events } = await connect();
        const all = pattern(3 << 20);
        guest.send(all);
        const parts: Uint8Array[] = [];
        let total = 0;
        await rig.until(() => {
          for (;;) {
            // Odd capacities: no boundary of the sender survives.
            const read = pipe.read(rig.readAt, 1 + ((total * 7) % 100_003));
            if (read === WOULD_BLOCK) return total === all.length;
            assert.ok(read > 0);
            parts.push(rig.harness.arena.bytes.slice(rig.readAt, rig.readAt + read));
            total += read;
          }
        }, 'all from the guest');
        assert.ok(events.readable > 0);
        assertSameBytes(Buffer.concat(parts), all);
        await writeAll(rig, pipe, pattern(1 << 20, 2));
        await rig.until(() => guest.receivedBytes === 1 << 20, 'all to the guest');
        assertSameBytes(guest.received(), pattern(1 << 20, 2));
        pipe.close();
      });
    },
  },
  {
    name: 'a guest that does not read makes writes partial, then 0, then writable is called',
    needs: ['pipes'],
    async run(rig) {
      await withPipes(rig, async (connect) => {
        const { pipe, guest, events } = await connect();
        guest.pause();
        await rig.settle();
        rig.harness.arena.bytes.set(pattern(1 << 20), rig.writeAt);
        let taken = 0;
        for (let refusals = 0; refusals < 5; ) {
          const at = taken % (1 << 20);
          const wrote = pipe.write(rig.writeAt + at, (1 << 20) - at);
          assert.notEqual(wrote, FAILED);
          assert.ok(taken < 64 << 20, 'a guest that reads nothing took 64 MiB');
          taken += wrote;
          if (wrote > 0) continue;
          refusals++;
          await rig.harness.poll();
        }
        const before = events.writable;
        guest.resume();
        await rig.until(() => events.writable > before && guest.receivedBytes === taken, 'all that was taken');
        const received = guest.received();
        for (let at = 0; at < taken; at += 1 << 20) {
          const part = received.subarray(at, at + (1 << 20));
          assertSameBytes(part, pattern(1 << 20).subarray(0, part.length));
        }
        pipe.close();
      });
    },
  },
  {
    name: 'a guest that ends: its last bytes, then 0',
    needs: ['pipes'],
    async run(rig) {
      await withPipes(rig, async (connect) => {
        const { pipe, guest } = await connect();
        guest.send(pattern(1000));
        guest.end();
        let total = 0;
        await rig.until(() => {
          const read = pipe.read(rig.readAt, 300);
          assert.notEqual(read, FAILED);
          if (read > 0) total += read;
          return read === 0;
        }, 'the end');
        assert.equal(total, 1000);
        pipe.close();
      });
    },
  },
  {
    name: 'a guest that is gone ends reads and fails writes, and the other guest does not notice',
    needs: ['pipes'],
    async run(rig) {
      await withPipes(rig, async (connect) => {
        const gone = await connect();
        const other = await connect();
        gone.guest.reset();
        await rig.until(() => {
          const read = gone.pipe.read(rig.readAt, 1000);
          return read === 0 || read === FAILED;
        }, 'the end');
        await rig.until(() => gone.pipe.write(rig.writeAt, 1000) === FAILED, 'a write that fails');
        assert.notEqual(gone.pipe.error, undefined);
        gone.pipe.close();
        other.guest.send(pattern(10));
        await rig.until(() => other.pipe.read(rig.readAt, 1000) === 10, 'the other guest');
        assert.ok(other.pipe.write(rig.writeAt, 10) === 10);
        await rig.until(() => other.guest.receivedBytes === 10, 'the other guest to read');
        other.pipe.close();
      });
    },
  },
  {
    name: 'closing a pipe ends the guest’s connection, and nothing is called any more',
    needs: ['pipes'],
    async run(rig) {
      await withPipes(rig, async (connect) => {
        const { pipe, guest, events } = await connect();
        await rig.settle();
        const before = { ...events };
        pipe.close();
        await rig.until(() => guest.ended || guest.error !== undefined, 'the guest to notice');
        await rig.settle();
        assert.deepEqual({ ...events }, before);
      });
    },
  },
];

interface Guest {
  readonly pipe: HostPipe;
  readonly guest: PeerConnection;
  readonly events: { readable: number; writable: number };
}

/** Listens at a name of its own, hands out guests that connect there, and stops. */
async function withPipes(rig: Rig, run: (connect: () => Promise<Guest>) => Promise<void>): Promise<void> {
  const path = rig.paths.path('guests');
  const accepted: { pipe: HostPipe; events: Guest['events'] }[] = [];
  const listener = await rig.harness.listenPipes?.(path, (pipe): HostPipeHandler => {
    const events = { readable: 0, writable: 0 };
    accepted.push({ pipe, events });
    return { readable: () => void events.readable++, writable: () => void events.writable++ };
  });
  assert.ok(listener, 'this case needs pipes');
  try {
    await run(async () => {
      const before = accepted.length;
      const guest = await rig.peers.dialPipe(path);
      await rig.until(() => accepted.length > before, 'the guest to be accepted');
      return { ...(accepted[before] as { pipe: HostPipe; events: Guest['events'] }), guest };
    });
  } finally {
    listener.close();
  }
}

async function writeAll(rig: Rig, pipe: HostPipe, bytes: Uint8Array): Promise<void> {
  rig.harness.arena.bytes.set(bytes, rig.writeAt);
  let done = 0;
  await rig.until(() => {
    const wrote = pipe.write(rig.writeAt + done, bytes.length - done);
    assert.notEqual(wrote, FAILED);
    done += wrote;
    return done === bytes.length;
  }, 'all to be written');
}
