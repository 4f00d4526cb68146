import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { connectedStream, Link, type LinkFaults } from '../support/tcp-link.ts';
import { assertSameBytes, Server, text } from '../support/tcp-peer.ts';

const GUEST = 0xc0a84103;
const REMOTE = 0xcb007107;

interface Transfer {
  readonly mtu: number;
  readonly seed: number;
  readonly faults: LinkFaults;
  readonly up: number;
  readonly down: number;
  readonly limitMs: number;
  /** First sequence number of both ends; random unless told. */
  readonly iss?: number;
}

/**
 * Both directions at once between two real ends; every byte must arrive, both ends must end cleanly and hold nothing.
 */
function transfer({ mtu, seed, faults, up, down, limitMs, iss }: Transfer): Link {
  const link = new Link(GUEST, REMOTE, mtu, seed, faults, iss);
  const upText = text(up, seed);
  const downText = text(down, seed + 7);
  let server: Server | undefined;
  link.b.host.listenTcp(REMOTE, 80, (peer) => {
    server = new Server(peer);
    peer.send(downText);
    peer.end();
    return record(server);
  });
  let client: Server | undefined;
  const { stream, join } = connectedStream(link.a.host, (peer) => {
    client = new Server(peer);
    peer.send(upText);
    peer.end();
    return record(client);
  });
  const ends = { neighbor: link.a.neighbor, guestPort: 80, remoteAddress: GUEST, remotePort: 40_000 };
  const handler = link.a.tcp.open(ends, stream);
  assert.ok(handler !== undefined);
  join(handler);
  link.run(limitMs, () => client?.ended === true && server?.ended === true);
  const where = `after ${link.nowMs} ms: ${JSON.stringify({ a: link.a.counters.snapshot(), b: link.b.counters.snapshot() })}`;
  assert.ok(client?.ended && server?.ended, `not done ${where}`);
  assertSameBytes(server.received, upText);
  assertSameBytes(client.received, downText);
  assert.deepEqual([client.reset, server.reset], [undefined, undefined]);
  // The last ACKs and FINs may be lost and are repeated: whatever becomes of them, nothing stays.
  link.run(15 * 60_000, () => link.a.tcp.flowCount + link.b.tcp.flowCount === 0);
  for (const { tcp } of [link.a, link.b]) {
    const held = [tcp.flowCount, tcp.dialsInFlight, tcp.windowBytesReserved, tcp.chunkBytesUsed, tcp.gatheredPieces];
    assert.deepEqual(held, [0, 0, 0, 0, 0]);
  }
  return link;
}

function record(server: Server): { data(bytes: Uint8Array): void; end(): void; reset(code: string): void } {
  return {
    data: (bytes) => void server.chunks.push(bytes),
    end: () => {
      server.ended = true;
    },
    reset: (code) => {
      server.reset = code;
    },
  };
}

const GOOD: LinkFaults = { loss: 0, duplication: 0, reordering: 0 };

for (const mtu of [1500, 65_520]) {
  test(`over a good link of MTU ${mtu} 5 MB both ways take no second and no segment twice`, () => {
    const link = transfer({ mtu, seed: 1, faults: GOOD, up: 5_000_000, down: 5_000_000, limitMs: 1000 });
    for (const { counters } of [link.a, link.b]) assert.equal(counters.get('tcp-retransmitted'), 0);
  });

  for (const loss of [0.01, 0.05, 0.1]) {
    test(`${loss * 100} % loss, duplication and reordering cost time, never bytes (MTU ${mtu})`, () => {
      const faults = { loss, duplication: loss / 2, reordering: loss };
      transfer({ mtu, seed: 42, faults, up: 2_000_000, down: 2_000_000, limitMs: 60_000 });
    });
  }

  test(`reordering and duplication alone lose no byte (MTU ${mtu})`, () => {
    const faults = { loss: 0, duplication: 0.1, reordering: 0.2 };
    transfer({ mtu, seed: 7, faults, up: 2_000_000, down: 2_000_000, limitMs: 20_000 });
  });
}

test('sequence numbers that wrap or change sign in mid-transfer under loss make no difference', () => {
  const faults = { loss: 0.03, duplication: 0.02, reordering: 0.05 };
  for (const iss of [0xffff_ffff, 0xfff8_0000, 0x7ff8_0000]) {
    for (const mtu of [1500, 65_520]) {
      transfer({ mtu, seed: 3, faults, up: 1_000_000, down: 1_000_000, limitMs: 60_000, iss });
    }
  }
});

test('whatever the seed, size and faults, all bytes arrive in bounded time and nothing is held afterwards', () => {
  const chance = (max: number): fc.Arbitrary<number> => fc.double({ min: 0, max, noNaN: true });
  fc.assert(
    fc.property(
      fc.record({
        mtu: fc.constantFrom(576, 1500, 9000, 65_520),
        seed: fc.nat(),
        up: fc.nat(300_000),
        down: fc.nat(300_000),
        faults: fc.record({ loss: chance(0.1), duplication: chance(0.1), reordering: chance(0.2) }),
      }),
      (facts) => void transfer({ ...facts, limitMs: 600_000 }),
    ),
    { numRuns: 100 },
  );
});
