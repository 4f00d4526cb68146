import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  assertSameBytes,
  closeWait,
  established,
  ISNS,
  type SegmentFacts,
  type Server,
  synReceived,
  text,
} from '../support/tcp-peer.ts';

/** A segment with the bytes [from, to) of the guest's text. */
function part(from: number, to: number, more: SegmentFacts = {}): SegmentFacts {
  return { seq: 1 + from, text: text(to - from, from), ...more };
}

for (const [name, guestIss, stackIss] of ISNS) {
  const isns = { guestIss, stackIss };

  test(`text in order reaches the server, and two full segments are acknowledged at once (RFC 9293 §3.8.6.3; ${name})`, () => {
    const world = established(isns);
    world.send(part(0, 1460), part(1460, 2920));
    assert.deepEqual(world.said(), ['A 1 2921']);
    assertSameBytes(world.server.received, text(2920));
  });

  test(`less than two full segments wait for the delayed ACK, at most 500 ms (RFC 9293 §3.8.6.3; ${name})`, () => {
    const world = established(isns);
    world.send(part(0, 100));
    assert.deepEqual(world.said(), []);
    assertSameBytes(world.server.received, text(100));
    world.advance(500);
    assert.deepEqual(world.said(), ['A 1 101']);
    world.advance(2000);
    assert.deepEqual(world.said(), []);
  });

  test(`an ACK that an answer carries is not sent a second time (${name})`, () => {
    const world = established(isns);
    world.send(part(0, 100));
    world.server.peer.send(text(7));
    world.settle();
    assert.deepEqual(world.said(), ['PA 1 101 +7']);
    world.send({ seq: 101, ack: 8 });
    world.advance(100);
    assert.deepEqual(world.said(), []);
  });

  test(`text that comes early is kept and reported by SACK, the newest range first (RFC 2018 §4; ${name})`, () => {
    const world = established(isns);
    world.send(part(100, 200));
    assert.deepEqual(world.said(), ['A 1 1 [101,201)']);
    world.send(part(300, 400));
    assert.deepEqual(world.said(), ['A 1 1 [301,401) [101,201)']);
    world.send(part(150, 250));
    assert.deepEqual(world.said(), ['A 1 1 [101,251) [301,401)']);
    assert.equal(world.server.received.length, 0);
    world.send(part(0, 100));
    assert.deepEqual(world.said(), ['A 1 251 [301,401)']);
    world.send(part(250, 300));
    assert.deepEqual(world.said(), ['A 1 401']);
    assertSameBytes(world.server.received, text(400));
  });

  test(`a FIN that comes early counts once the text before it is there (${name})`, () => {
    const world = established(isns);
    world.send(part(100, 200, { flags: 'FA' }));
    assert.equal(world.server.ended, false);
    world.send(part(0, 100));
    assert.deepEqual(world.said().at(-1), 'A 1 202');
    assertSameBytes(world.server.received, text(200));
    assert.equal(world.server.ended, true);
  });

  test(`old text is acknowledged again at once, and what is new behind it is taken (RFC 9293 §3.10.7.4; ${name})`, () => {
    const world = established(isns);
    world.send(part(0, 1000));
    world.advance(20);
    world.take();
    world.send(part(0, 1000));
    assert.deepEqual(world.said(), ['A 1 1001']);
    world.send(part(500, 1500));
    assert.deepEqual(world.said(), ['A 1 1501']);
    assertSameBytes(world.server.received, text(1500));
  });

  test(`text beyond the window is cut off, what lies wholly beyond it is refused (RFC 9293 §3.4; ${name})`, () => {
    const world = established({ ...isns, syn: { scale: -1 }, script: (server) => server.peer.pause() });
    world.take();
    const edge = 65_535;
    world.send(part(edge - 100, edge + 100));
    assert.deepEqual(world.said(), [`A 1 1 [${edge - 99},${edge + 1})`]);
    assert.equal(world.counters.get('tcp-beyond-window'), 1);
    world.send(part(edge, edge + 100));
    assert.deepEqual(world.said(), [`A 1 1 [${edge - 99},${edge + 1})`]);
  });

  test(`an ACK at the very end of a full window is taken (${name})`, () => {
    const world = established({ ...isns, syn: { scale: -1 } });
    world.server.peer.send(text(10));
    world.settle();
    world.take();
    world.send({ seq: 65_536, ack: 11 });
    world.advance(5000);
    assert.equal(world.counters.get('tcp-retransmission-timeout'), 0);
  });

  test(`RST: exact resets, inside the window is challenged, outside is ignored (RFC 5961 §3.2; ${name})`, () => {
    const world = established(isns);
    world.send({ flags: 'R', seq: 70_000 }, { flags: 'R', seq: 0 });
    assert.deepEqual(world.said(), []);
    world.send({ flags: 'R', seq: 2 });
    assert.deepEqual(world.said(), ['A 1 1']);
    assert.equal(world.counters.get('tcp-challenge-ack'), 1);
    assert.equal(world.state, 'ESTABLISHED');
    world.send({ flags: 'R', seq: 1 });
    world.assertBaseLine();
  });

  test(`a SYN on an open connection is challenged wherever it stands, and the RST that answers ends it (RFC 5961 §4.2; ${name})`, () => {
    const world = established(isns);
    for (const seq of [1, 500, 0, -100_000, 500_000]) {
      world.send({ flags: 'S', seq, syn: {} });
      assert.deepEqual(world.said(), ['A 1 1'], `SYN at ${seq}`);
    }
    assert.equal(world.state, 'ESTABLISHED');
    world.send({ flags: 'R', seq: 1 });
    world.assertBaseLine();
  });

  test(`an ACK of what was never sent, or older than any window, is challenged and its text not taken (RFC 5961 §5.2; ${name})`, () => {
    const world = established(isns);
    world.server.peer.send(text(1000));
    world.settle();
    world.take();
    world.send({ ack: 1001 });
    world.send(part(0, 10, { ack: 1002 }));
    assert.deepEqual(world.said(), ['A 1001 1']);
    world.send(part(0, 10, { ack: 1001 - 65_536 }));
    assert.deepEqual(world.said(), ['A 1001 1']);
    assert.equal(world.server.received.length, 0);
    world.send(part(0, 10, { ack: 1 }));
    assert.equal(world.server.received.length, 10, 'an old ACK within the window is harmless');
  });

  test(`a segment without ACK is dropped; keepalive probes are answered (RFC 9293 §3.8.4; ${name})`, () => {
    const world = established(isns);
    world.send({ flags: 'P', text: text(10) });
    assert.deepEqual(world.said(), []);
    assert.equal(world.server.received.length, 0);
    world.send({ seq: 0 });
    assert.deepEqual(world.said(), ['A 1 1']);
    world.send({ seq: 0, text: text(1) });
    assert.deepEqual(world.said(), ['A 1 1']);
  });
}

test('text behind the FIN is ignored (RFC 9293 §3.10.7.4, seventh)', () => {
  const world = closeWait();
  world.send({ seq: 2, text: text(100) });
  assert.equal(world.server.received.length, 0);
  assert.equal(world.state, 'CLOSE-WAIT');
  assert.ok(world.said().every((said) => said === 'A 1 2'));
});

test('challenge ACKs are limited, and what is withheld is counted (RFC 5961 §7)', () => {
  const world = established();
  for (let i = 0; i < 1500; i++) world.sendQuietly({ flags: 'R', seq: 2 });
  assert.equal(world.take().length, 1000);
  assert.equal(world.counters.get('tcp-challenge-rate-limited'), 500);
  world.advance(1000);
  world.sendQuietly({ flags: 'R', seq: 2 });
  assert.equal(world.take().length, 1);
});

test('more gaps than are kept are refused, and the text completes all the same', () => {
  const world = established();
  for (let i = 0; i < 80; i++) world.send(part(i * 20 + 10, i * 20 + 20));
  assert.equal(world.counters.get('tcp-too-many-gaps'), 16);
  for (let i = 0; i < 80; i++) world.send(part(i * 20, i * 20 + 20));
  assertSameBytes(world.server.received, text(1600));
});

test('a segment with SYN-ACK lost: text that came before the handshake was over is taken with the ACK', () => {
  const world = synReceived();
  world.send(part(0, 10), part(10, 20));
  assertSameBytes(world.server.received, text(20));
});

test('segments in any order, cut anywhere, repeated and overlapping give the same bytes and leave nothing behind', () => {
  const total = 20_000;
  const cut = fc.tuple(fc.nat(total - 1), fc.integer({ min: 1, max: 3000 }));
  fc.assert(
    fc.property(
      fc.array(cut, { maxLength: 40 }),
      fc.constantFrom(...ISNS),
      fc.boolean(),
      (cuts, [, guestIss], slow) => {
        const world = established({
          guestIss,
          host: { limits: { hostSendBytes: 1024, peerReceiveBytes: 1024 } },
          script: (server) => {
            if (slow) server.peer.pause();
          },
        });
        for (const [from, length] of cuts) world.sendQuietly(part(from, Math.min(total, from + length)));
        for (let from = 0; from < total; from += 1000) world.sendQuietly(part(from, from + 1000));
        world.send({ seq: total + 1, flags: 'FA' });
        assert.equal(world.take().at(-1)?.ack, total + 2);
        world.server.peer.resume();
        world.settle();
        assertSameBytes(world.server.received, text(total));
        assert.equal(world.server.ended, true);
        assert.equal(world.tcp.chunkBytesUsed, 0);
        world.server.peer.end();
        world.settle();
        world.send({ seq: total + 2, ack: 2 });
        world.assertBaseLine();
      },
    ),
    { numRuns: 60 },
  );
});

test('a train is the same as its segments one by one, towards a fast and a slow server, with gaps and beyond the window', () => {
  const segment = fc.record({ count: fc.integer({ min: 1, max: 12 }), length: fc.integer({ min: 1, max: 1460 }) });
  const facts = fc.record({ segments: fc.array(segment, { maxLength: 20 }), slow: fc.boolean(), skip: fc.nat(30) });
  fc.assert(
    fc.property(facts, fc.constantFrom(...ISNS), ({ segments, slow, skip }, [, guestIss]) => {
      const script = (server: Server): void => {
        if (slow) server.peer.pause();
      };
      const limits = { hostSendBytes: 3000, peerReceiveBytes: 3000 };
      const world = established({ guestIss, host: { limits }, script });
      let end = 0;
      let acknowledged = 1;
      for (const [i, { count, length }] of segments.entries()) {
        const bytes = count * length;
        // One train is lost.
        if (i !== skip) world.sendQuietly({ seq: 1 + end, text: text(bytes, end), train: count });
        end += bytes;
      }
      world.send({ seq: end + 1, flags: 'FA' });
      world.server.peer.resume();
      for (let rounds = 0; rounds < 300 && !world.server.ended; rounds++) {
        world.advance(20);
        for (const { ack } of world.take()) acknowledged = Math.max(acknowledged, ack);
        const rest = text(Math.max(0, Math.min(1000, end - acknowledged + 1)), acknowledged - 1);
        world.send({ seq: acknowledged, text: rest, flags: acknowledged + rest.length > end ? 'FA' : 'A' });
      }
      assertSameBytes(world.server.received, text(end));
      assert.equal(world.tcp.chunkBytesUsed, 0);
      world.server.peer.reset();
      world.settle();
      world.assertBaseLine();
    }),
    { numRuns: 80 },
  );
});

test('when the table of pieces is full, text is copied and nothing is lost', () => {
  const world = established({ syn: { scale: 7 }, limits: { windowBytes: 16 * 1024 * 1024 } });
  const total = 40_000;
  const segments = Array.from({ length: total / 4 }, (_, i) => ({ seq: 1 + i * 4, text: text(4, i * 4) }));
  world.send(...segments, ...segments);
  world.send(...segments.map(({ seq, text: bytes }) => ({ seq: seq + total, text: bytes })));
  assert.equal(world.take().at(-1)?.ack, 2 * total + 1);
  assert.equal(world.server.received.length, 2 * total);
  assert.equal(world.tcp.gatheredPieces, 0);
});
