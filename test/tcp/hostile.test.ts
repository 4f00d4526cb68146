import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type SegmentFacts, TcpWorld, text } from '../support/tcp-peer.ts';

/** Numbers near those that matter, and any. */
const near = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.integer({ min: -3, max: 3000 }),
  fc.integer({ min: 65_400, max: 65_700 }),
  fc.integer(),
);
const block = fc.tuple(near, near);
const segment: fc.Arbitrary<SegmentFacts> = fc.record(
  {
    flags: fc.oneof(
      fc.constantFrom('A', 'A', 'A', 'S', 'SA', 'FA', 'RA', 'R'),
      fc.constantFrom('', 'F', 'SF', 'SFRPAU', 'UA'),
    ),
    seq: near,
    ack: near,
    window: fc.oneof(fc.constantFrom(0, 1, 65_535), fc.nat(65_535)),
    text: fc.oneof(fc.nat(10), fc.nat(3000)).map((length) => text(length)),
    sack: fc.array(block, { minLength: 1, maxLength: 4 }),
    port: fc.constantFrom(40_000, 40_001),
  },
  { requiredKeys: ['flags'] },
);

type Step =
  | { readonly kind: 'guest'; readonly batch: SegmentFacts[] }
  | { readonly kind: 'server'; readonly what: 'send' | 'end' | 'reset' | 'pause' | 'resume'; readonly length: number }
  | { readonly kind: 'time'; readonly ms: number }
  | { readonly kind: 'outlet'; readonly capacity: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('guest' as const), batch: fc.array(segment, { maxLength: 4 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('server' as const),
      what: fc.constantFrom('send' as const, 'end' as const, 'reset' as const, 'pause' as const, 'resume' as const),
      length: fc.nat(20_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.oneof(fc.nat(50), fc.nat(100_000)) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('outlet' as const), capacity: fc.nat(5) }) },
);

function play(world: TcpWorld, s: Step): void {
  if (s.kind === 'guest') world.send(...s.batch);
  else if (s.kind === 'time') world.advance(s.ms);
  else if (s.kind === 'outlet') world.outlet.reopen(s.capacity);
  else {
    const peer = world.servers.at(-1)?.peer;
    if (s.what === 'send') peer?.send(text(s.length));
    else peer?.[s.what]();
    world.settle();
  }
}

test('whatever a guest sends and a server does, nothing throws, promises stay in bounds, and the end leaves nothing behind', () => {
  const isn = fc.constantFrom(1000, 0xffff_ff00, 0x7fff_ff00);
  const limits = { windowBytes: 256 * 1024 };
  const small = { limits: { hostSendBytes: 2000, peerReceiveBytes: 2000, hostReceiveBytes: 30_000 } };
  fc.assert(
    fc.property(isn, isn, fc.boolean(), fc.array(step, { maxLength: 40 }), (guestIss, stackIss, open, steps) => {
      const world = new TcpWorld({ guestIss, stackIss, limits, host: small });
      world.listen();
      world.send({ flags: 'S', seq: 0, syn: { mss: 1460, scale: 2, sack: true } });
      if (open) world.send({});
      for (const s of steps) {
        play(world, s);
        const { windowBytesReserved, gatheredPieces, chunkBytesUsed, flowCount } = world.tcp;
        assert.equal(gatheredPieces, 0);
        assert.ok(windowBytesReserved >= 0 && windowBytesReserved <= flowCount * 70_000, `${windowBytesReserved}`);
        assert.ok(chunkBytesUsed <= 256 * 1024);
        assert.equal(world.counters.get('tcp-retransmission-impossible'), 0);
        // Checksums and lengths of what came out are checked as it is read.
        world.take();
      }
      world.outlet.reopen();
      world.tcp.destroy();
      world.settle();
      world.assertBaseLine();
    }),
    { numRuns: 400 },
  );
});
