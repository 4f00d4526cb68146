import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ConnectionFacts,
  concat,
  established,
  ISNS,
  type Segment,
  type TcpWorld,
  text,
} from '../support/tcp-peer.ts';

const MSS = 1000;

/** `count` full segments are in flight; the server's text has no end yet. */
function inFlight(count: number, facts: ConnectionFacts = {}): TcpWorld {
  const world = established({ ...facts, syn: { mss: MSS, ...facts.syn } });
  world.server.peer.send(text(count * MSS));
  world.settle();
  assert.equal(world.take().length, count);
  return world;
}

/** Where segment `i` (from 0) begins. */
function begin(i: number): number {
  return 1 + i * MSS;
}

function starts(segments: readonly Segment[]): number[] {
  return segments.map(({ seq }) => (seq - 1) / MSS);
}

for (const [name, guestIss, stackIss] of ISNS) {
  const isns = { guestIss, stackIss };

  test(`three duplicate ACKs with SACK send the hole again, and only the hole (RFC 6675 §5; ${name})`, () => {
    const world = inFlight(10, isns);
    world.send({ sack: [[begin(1), begin(2)]] }, { sack: [[begin(1), begin(3)]] });
    assert.deepEqual(world.said(), []);
    world.send({ sack: [[begin(1), begin(4)]] });
    assert.deepEqual(starts(world.take()), [0]);
    for (let i = 5; i <= 10; i++) world.send({ sack: [[begin(1), begin(i)]] });
    assert.deepEqual(world.said(), []);
    world.send({ ack: begin(10) });
    assert.deepEqual(world.said(), []);
    assert.equal(world.counters.get('tcp-retransmitted'), 1);
    assert.equal(world.counters.get('tcp-retransmission-timeout'), 0);
  });

  test(`several holes are each sent once, in order, with the right bytes (RFC 6675 §5; ${name})`, () => {
    const world = inFlight(12, isns);
    const blocks = [
      [begin(1), begin(3)],
      [begin(4), begin(6)],
      [begin(7), begin(12)],
    ] as const;
    world.send({ sack: [blocks[0]] }, { sack: [blocks[1], blocks[0]] }, { sack: [blocks[2], blocks[1], blocks[0]] });
    const again = world.take();
    assert.deepEqual(starts(again), [0, 3, 6]);
    for (const segment of again) assert.deepEqual(segment.text, text(MSS, segment.seq - 1));
    world.send({ ack: begin(3), sack: [blocks[2], blocks[1]] });
    world.send({ ack: begin(6), sack: [blocks[2]] });
    assert.deepEqual(world.said(), []);
    world.send({ ack: begin(12) });
    assert.deepEqual(world.said(), []);
    assert.equal(world.counters.get('tcp-fast-retransmit'), 1);
  });

  test(`without SACK three duplicates send one segment, a partial ACK the next (RFC 6582 §3.2; ${name})`, () => {
    const world = inFlight(40, { ...isns, syn: { sack: false } });
    world.send({}, {});
    assert.deepEqual(world.said(), []);
    world.send({});
    assert.deepEqual(starts(world.take()), [0]);
    for (let i = 0; i < 20; i++) world.send({});
    assert.deepEqual(world.said(), []);
    world.send({ ack: begin(5) });
    assert.deepEqual(starts(world.take()), [5]);
    world.send({ ack: begin(9) });
    assert.deepEqual(starts(world.take()), [9]);
    world.send({ ack: begin(40) });
    assert.deepEqual(world.said(), []);
    assert.equal(world.counters.get('tcp-fast-retransmit'), 1);
  });

  test(`a timeout sends from the first unacknowledged number on, and what SACK told before is sent too (RFC 2018 §8; ${name})`, () => {
    const world = inFlight(4, isns);
    world.send({ sack: [[begin(2), begin(3)]] });
    world.advance(1100);
    const again = starts(world.take());
    assert.deepEqual(again.slice(0, 2), [0, 1]);
    assert.equal(world.counters.get('tcp-retransmission-timeout'), 1);
    world.send({ ack: begin(2) });
    assert.deepEqual(starts(world.take()), [2, 3]);
    world.send({ ack: begin(4) });
    assert.deepEqual(world.said(), []);
  });

  test(`after a timeout new SACK blocks are left out again (${name})`, () => {
    const world = inFlight(6, isns);
    world.advance(1100);
    assert.deepEqual(starts(world.take()), [0, 1]);
    world.send({ ack: begin(1), sack: [[begin(2), begin(5)]] });
    const again = starts(world.take());
    assert.ok(!again.some((i) => i >= 2 && i < 5), `sent again: ${again}`);
    world.send({ ack: begin(5) });
    assert.deepEqual([...again, ...starts(world.take())].at(-1), 5);
  });

  test(`the timeout doubles each time, and an ACK of new data ends the back-off (RFC 6298 §5.5, §5.7; ${name})`, () => {
    const world = inFlight(1, isns);
    const start = world.nowMs;
    const times: number[] = [];
    for (let ms = 0; ms < 16_000; ms += 4) {
      world.advance(4);
      if (world.take().length > 0) times.push(world.nowMs - start);
    }
    assert.deepEqual(
      times.map((ms) => Math.round(ms / 100)),
      [10, 30, 70, 150],
    );
    world.send({ ack: begin(1) });
    world.server.peer.send(text(10));
    world.settle();
    world.take();
    world.advance(1100);
    assert.equal(world.take().length, 1, 'the back-off is over');
  });
}

test("Karn's algorithm: the ACK of what was sent twice measures nothing (RFC 6298 §3)", () => {
  const world = inFlight(1);
  world.advance(1100);
  world.take();
  // 1.1 s after the first transmission, 0.1 s after the second.
  world.send({ ack: begin(1) });
  world.server.peer.send(text(10));
  world.settle();
  world.take();
  world.advance(900);
  assert.deepEqual(world.said(), [], 'the initial second still counts');
  world.advance(200);
  assert.equal(world.take().length, 1);
});

test('a measured round trip sets the timeout: SRTT + 4 RTTVAR, at least 200 ms (RFC 6298 §2.2, §2.3)', () => {
  for (const [rtt, least] of [
    [4, 200],
    [300, 900],
  ] as const) {
    const world = inFlight(1);
    world.advance(rtt);
    world.send({ ack: begin(1) });
    world.server.peer.send(text(10));
    world.settle();
    world.take();
    world.advance(least - 8);
    assert.deepEqual(world.said(), [], `a round trip of ${rtt} ms`);
    world.advance(20);
    assert.equal(world.take().length, 1, `a round trip of ${rtt} ms`);
  }
});

test('every ACK of new data restarts the timer (RFC 6298 §5.3)', () => {
  const world = inFlight(4);
  for (let i = 1; i < 4; i++) {
    world.advance(900);
    world.send({ ack: begin(i) });
    assert.deepEqual(world.said(), []);
  }
});

test('a retransmission goes out also where the window is smaller than what is in flight', () => {
  const world = inFlight(100, { syn: { scale: 4, sack: false }, window: 65_535 });
  world.send({}, {}, {});
  assert.deepEqual(starts(world.take()), [0]);
});

test('SACK blocks beyond what was sent, behind what was acknowledged or inside out are not believed', () => {
  const world = inFlight(5);
  world.send({ ack: begin(1) });
  for (const block of [
    [begin(2), begin(9)],
    [begin(0), begin(1)],
    [begin(4), begin(2)],
  ] as const) {
    world.send({ ack: begin(1), sack: [block] });
  }
  world.take();
  world.advance(1100);
  assert.equal(world.take()[0]?.seq, begin(1));
});

test('SACK that comes with text of the guest starts loss recovery as bare SACK does (RFC 6675 §2)', () => {
  const world = established();
  world.server.peer.send(text(20 * 1460));
  world.settle();
  world.take();
  for (let i = 0; i < 10; i++) {
    world.send({ seq: 1 + i * 10, text: text(10, i * 10), sack: [[1461, 1461 + (i + 1) * 1460]] });
  }
  assert.equal(world.take().filter((segment) => segment.text.length > 0 && segment.seq === 1).length, 1);
});

test('text sent again keeps the numbers and the bytes of the first time', () => {
  const world = inFlight(3, { guestIss: 0xffff_ffff, stackIss: 0xffff_ffff - MSS });
  world.advance(1100);
  const sent = world.take();
  assert.deepEqual(concat(sent.map((s) => s.text)), text(sent.length * MSS));
});

test('a guest that answers nothing is given up after eleven minutes of retransmission; the server is reset (RFC 9293 §3.8.3)', () => {
  const world = inFlight(2);
  world.advance(9 * 60_000);
  assert.equal(world.tcp.flowCount, 1);
  world.advance(4 * 60_000);
  assert.equal(world.counters.get('tcp-guest-gone'), 1);
  assert.equal(world.server.reset, 'ECONNRESET');
  assert.equal(world.take().at(-1)?.flags, 'RA');
  world.assertBaseLine();
});

test('an idle guest is asked after two hours, and given up after nine questions (RFC 9293 §3.8.4)', () => {
  const world = established();
  world.advance(7_199_000);
  assert.deepEqual(world.said(), []);
  world.advance(2_000);
  assert.deepEqual(world.said(), ['A 0 1']);
  world.send({});
  world.advance(7_190_000);
  assert.deepEqual(world.said(), [], 'the answer counts');
  world.advance(20_000 + 9 * 75_000);
  assert.equal(world.take().filter(({ flags }) => flags === 'A').length, 9);
  world.advance(75_000);
  assert.equal(world.server.reset, 'ECONNRESET');
  world.assertBaseLine();
});
