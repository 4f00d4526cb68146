import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FAILED, type HostStream, WOULD_BLOCK } from '../../src/env/host.ts';
import { PrefixedStream } from '../../src/forward/prefixed-stream.ts';
import { MemoryHost } from '../../src/host/memory/memory-host.ts';
import type { MemoryPeer } from '../../src/host/memory/memory-stream.ts';
import { Turn } from '../../src/turn/turn.ts';
import { PlainArena } from '../support/plain-arena.ts';
import { connectedStream } from '../support/tcp-link.ts';
import { assertSameBytes, concat, text } from '../support/tcp-peer.ts';

const AT = 1 << 16;

/** A stream that has `sent` to read, with `prefix` ahead, and how often it said that there is more. */
function prefixed(
  prefix: Uint8Array,
  sent: Uint8Array,
  end: 'fin' | 'reset',
): { arena: PlainArena; stream: HostStream; turn: Turn; told: () => number } {
  const arena = new PlainArena(1 << 20);
  arena.allocate(1 << 19);
  const host = new MemoryHost(arena);
  const turn = new Turn(0);
  let told = 0;
  const handler = { connected() {}, failed() {}, writable() {}, readable: () => void told++ };
  let client: MemoryPeer | undefined;
  const { stream } = connectedStream(host, (peer) => {
    client = peer;
    peer.send(sent);
    return {};
  });
  host.deliver();
  if (end === 'fin') client?.end();
  else client?.reset();
  host.deliver();
  return { arena, stream: new PrefixedStream(stream, prefix, arena.bytes, turn, handler), turn, told: () => told };
}

test('whatever is peeked and consumed in whichever pieces, the prefix comes first and nothing is lost', () => {
  const sizes = fc.record({
    prefix: fc.integer({ min: 1, max: 120 }),
    sent: fc.integer({ min: 0, max: 5_000 }),
    slotBytes: fc.integer({ min: 1, max: 1_500 }),
    count: fc.integer({ min: 1, max: 64 }),
    consume: fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1, maxLength: 20 }),
    end: fc.constantFrom('fin' as const, 'reset' as const),
  });
  fc.assert(
    fc.property(sizes, ({ prefix, sent, slotBytes, count, consume, end }) => {
      const head = text(prefix, 3);
      const body = text(sent, 5);
      const { arena, stream, turn, told } = prefixed(head, body, end);
      const stride = slotBytes + 11;
      const got: Uint8Array[] = [];
      let peeked = 0;
      let consumed = 0;
      for (let round = 0; ; round++) {
        const before = told();
        const bytes = stream.peekInto(peeked - consumed, AT, slotBytes, stride, count);
        if (bytes === 0 || bytes === FAILED) {
          assert.equal(bytes === FAILED, end === 'reset');
          break;
        }
        assert.notEqual(bytes, WOULD_BLOCK);
        if (bytes < slotBytes * count && peeked + bytes === prefix) {
          assert.equal(stream.endAnnounced, false);
          turn.run(round);
          assert.equal(told(), before + 1, 'a peek that stopped at the prefix is followed by word of more');
        }
        for (let done = 0; done < bytes; done += slotBytes) {
          const slot = AT + (done / slotBytes) * stride;
          got.push(arena.bytes.slice(slot, slot + Math.min(slotBytes, bytes - done)));
        }
        peeked += bytes;
        const step = Math.min(consume[round % consume.length]!, peeked - consumed);
        stream.consume(step);
        consumed += step;
      }
      assertSameBytes(concat(got), concat([head, body]));
    }),
    { numRuns: 300 },
  );
});
