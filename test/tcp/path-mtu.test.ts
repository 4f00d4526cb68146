import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Neighbor } from '../../src/ip/neighbor.ts';
import { Frame } from '../../src/link/frame.ts';
import type { Port } from '../../src/link/port.ts';
import { writeU32 } from '../../src/wire/bytes.ts';
import { PROTOCOL_TCP, PROTOCOL_UDP, writeIpv4 } from '../../src/wire/ipv4.ts';
import { seqAdd } from '../../src/wire/seqnum.ts';
import { ipv4Header } from '../support/ipv4-header.ts';
import {
  type ConnectionFacts,
  concat,
  established,
  GUEST,
  ISNS,
  REMOTE,
  REMOTE_PORT,
  type Segment,
  type TcpWorld,
  text,
} from '../support/tcp-peer.ts';

const MSS = 1460;
const RAISE_MS = 600_000;

interface Told {
  readonly mtu: number;
  /** Of the quoted segment; 1 is the first byte. */
  readonly seq?: number;
  readonly bytes?: number;
  readonly protocol?: number;
  readonly destination?: number;
  readonly port?: number;
  /** Who says so: the guest unless told. */
  readonly from?: number;
  /** Bytes that are quoted of the TCP header. */
  readonly quoted?: number;
  readonly behind?: Partial<Port>;
  readonly code?: number;
}

/** ICMP destination unreachable from behind the guest's port. */
function tell(world: TcpWorld, facts: Told): void {
  const { bytes } = world.arena;
  const at = world.arena.allocate(64);
  const length = 20 + (facts.quoted ?? 8);
  const { mtu, seq = 1, protocol = PROTOCOL_TCP, destination = GUEST, port = 40_000, from = GUEST } = facts;
  const totalLength = facts.bytes ?? 1500;
  writeIpv4(bytes, at, ipv4Header({ totalLength, ttl: 63, protocol, source: REMOTE, destination }));
  writeU32(bytes, at + 20, ((REMOTE_PORT << 16) | port) >>> 0);
  writeU32(bytes, at + 24, seqAdd(world.stackIss, seq));
  const router = new Neighbor(from, 7, (facts.behind ?? world.neighbor.port) as Port, 0);
  const packet = {
    frame: new Frame(),
    neighbor: router,
    headerAt: at,
    payloadAt: at,
    payloadEnd: at + length,
    source: from,
    destination: REMOTE,
    protocol: 1,
    ttl: 64,
    dontFragment: false,
    probesPath: false,
    tos: 0,
  };
  world.tcp.unreachable(packet, facts.code ?? 4, mtu, at, at + length);
  world.settle();
}

/** `count` segments of 1,460 bytes are in flight. */
function inFlight(count: number, facts: ConnectionFacts = {}): TcpWorld {
  const world = established({ ...facts, syn: { mss: MSS, scale: 7, ...facts.syn } });
  world.server.peer.send(text(count * MSS));
  world.settle();
  const sent = world.take();
  if (facts.outlet === undefined) assert.equal(sent.length, count);
  return world;
}

const sizes = (segments: readonly Segment[]): number[] => segments.map((segment) => segment.text.length);

function assertBytes(segments: readonly Segment[], from: number, bytes: number): void {
  const parts = [...segments].sort((a, b) => a.seq - b.seq).map((segment) => segment.text);
  assert.deepEqual(concat(parts), text(bytes, from - 1));
}

for (const [name, guestIss, stackIss] of ISNS) {
  test(`what is in flight is cut anew and sent again at once when a router behind the guest says it is too long (RFC 1191; ${name})`, () => {
    const world = inFlight(8, { guestIss, stackIss });
    tell(world, { mtu: 1000 });
    const again = world.take();
    assert.ok(again.every((segment) => segment.text.length <= 960));
    assertBytes(again, 1, 8 * MSS);
    assert.equal(world.counters.get('tcp-path-mtu-reduced'), 1);
    world.send({ ack: 1 + 8 * MSS });
    world.server.peer.send(text(2000, 8 * MSS));
    world.settle();
    assert.deepEqual(sizes(world.take()), [960, 960, 80]);
    assert.equal(world.counters.get('tcp-retransmission-timeout'), 0);
  });
}

test('what SACK says has arrived is not sent again, and the window stays as wide as it was', () => {
  const world = inFlight(8);
  world.send({ sack: [[1 + 4 * MSS, 1 + 6 * MSS]] });
  tell(world, { mtu: 1000 });
  const again = world.take();
  const inArrived = again.filter(({ seq }) => seq >= 1 + 4 * MSS && seq < 1 + 6 * MSS);
  assert.deepEqual(inArrived, []);
  assert.equal(
    again.reduce((sum, segment) => sum + segment.text.length, 0),
    6 * MSS,
  );
});

for (const [what, facts] of [
  ['a number before what is in flight', { seq: 0 }],
  ['a number behind what is in flight', { seq: 1 + 8 * MSS }],
  ['an MTU that no link may have (RFC 791)', { mtu: 67 }],
  ['no MTU', { mtu: 0 }],
  ['an MTU that is no less than what is sent', { mtu: 1500 }],
  ['an MTU that the packet fits into', { mtu: 1000, bytes: 1000 }],
  ['another port of the guest', { port: 40_001 }],
  ['another guest', { destination: GUEST + 1 }],
  ['a quote that ends before the number', { quoted: 7 }],
  ['another protocol', { protocol: PROTOCOL_UDP }],
  ['a router behind another port than the flow’s', { behind: { attached: true, attachment: 'other' } }],
] as const) {
  test(`a router that quotes ${what} is not believed (RFC 5927 §4.1, §7)`, () => {
    const world = inFlight(8);
    tell(world, { mtu: 1000, ...facts });
    assert.deepEqual(world.said(), []);
    assert.equal(world.counters.get('tcp-path-mtu-reduced'), 0);
    world.send({ ack: 1 + 8 * MSS });
    world.server.peer.send(text(2 * MSS, 8 * MSS));
    world.settle();
    assert.deepEqual(sizes(world.take()), [MSS, MSS]);
  });
}

test('whatever is told, segments have 512 bytes and more; what was told once is no news the second time', () => {
  const world = inFlight(2);
  tell(world, { mtu: 68 });
  assert.deepEqual(sizes(world.take()), [512, 512, 512, 512, 512, 360]);
  tell(world, { mtu: 68 });
  assert.deepEqual(world.said(), []);
  assert.equal(world.counters.get('tcp-path-mtu-ignored'), 1);
});

test('a router with another address, behind the flow’s own port, is believed', () => {
  const world = inFlight(2);
  tell(world, { mtu: 1400, from: GUEST + 9 });
  assert.deepEqual(sizes(world.take()), [1360, 1360, 200]);
});

test('other unreachables end no flow that is open (RFC 1122 §4.2.3.9)', () => {
  const world = inFlight(2);
  for (const code of [0, 1, 2, 3, 13]) tell(world, { mtu: 0, code });
  assert.equal(world.state, 'ESTABLISHED');
  assert.deepEqual(world.said(), []);
});

test('a tap that segments gets super-segments of the new size', () => {
  const abilities = { maxFrameBytes: 65_550, tcpSegmentation: true, udpSegmentation: false, checksum: true };
  const world = inFlight(8, { outlet: { abilities } });
  tell(world, { mtu: 1000 });
  world.take();
  world.send({ ack: 1 + 8 * MSS });
  world.server.peer.send(text(9_600, 8 * MSS));
  world.settle();
  const sent = world.take();
  assert.deepEqual(sizes(sent), [9_600]);
  assert.equal(sent[0]?.gsoSize, 960);
});

test('ten minutes after a router spoke the full size is tried by one segment, and kept when it arrives', () => {
  const world = inFlight(2);
  tell(world, { mtu: 1000 });
  world.take();
  world.send({ ack: 1 + 2 * MSS });
  world.advance(RAISE_MS);
  world.server.peer.send(text(4 * MSS, 2 * MSS));
  world.settle();
  const first = world.take();
  assert.deepEqual(sizes(first), [MSS, 960, 960, 960, 960, 540]);
  world.send({ ack: 1 + 6 * MSS });
  world.server.peer.send(text(2 * MSS, 6 * MSS));
  world.settle();
  assert.deepEqual(sizes(world.take()), [MSS, MSS]);
});

/** A path that carries `limit` bytes of text in a segment and says nothing: what is longer is lost. */
function through(world: TcpWorld, limit: number, from: number, bytes: number, patienceMs: number): number {
  let received = from;
  const arrived = new Map<number, number>();
  for (const until = world.nowMs + patienceMs; received < bytes && world.nowMs < until; ) {
    const segments = world.take();
    if (segments.length === 0) {
      world.advance(50);
      continue;
    }
    for (const { seq, text: got } of segments) {
      if (got.length > limit || got.length === 0) continue;
      assert.deepEqual(got, text(got.length, seq - 1));
      arrived.set(seq, Math.max(arrived.get(seq) ?? 0, got.length));
      for (let next = arrived.get(received + 1); next !== undefined; next = arrived.get(received + 1)) received += next;
      const beyond = seq > received + 1 ? [[seq, seq + got.length] as const] : [];
      world.send({ ack: 1 + received, window: 65_535, sack: beyond });
    }
  }
  return received;
}

for (const [mss, limit] of [
  [1460, 1360],
  [65_480, 1360],
  [1460, 600],
] as const) {
  test(`where segments of ${mss} are lost without a word, shorter ones go out, and a search finds what passes: ${limit} (RFC 4821)`, () => {
    const world = established({ syn: { mss, scale: 7 }, outlet: { mtu: mss + 40 } });
    const total = 400_000;
    for (let sent = 0, part = 20_000; sent < total; sent += part) {
      world.server.peer.send(text(part, sent));
      world.settle();
      const received = through(world, limit, sent, sent + part, 120_000);
      assert.equal(received, sent + part);
      world.advance(1_500);
    }
    assert.ok(world.counters.get('tcp-path-mtu-black-hole') >= 1);
    assert.ok(world.counters.get('tcp-path-mtu-probe') >= 3);
    world.server.peer.send(text(20_000, total));
    world.settle();
    const largest = Math.max(...sizes(world.take()));
    assert.ok(largest <= limit && largest > limit - 32, `${largest} of ${limit}`);
    assert.equal(world.state, 'ESTABLISHED');
  });
}

test('a guest that only stood still has its full size back with the first probe', () => {
  const world = inFlight(4);
  world.advance(10_000);
  assert.equal(world.counters.get('tcp-path-mtu-black-hole') > 0, true);
  world.take();
  world.send({ ack: 1 + 4 * MSS });
  world.take();
  world.advance(1_500);
  world.server.peer.send(text(4 * MSS, 4 * MSS));
  world.settle();
  assert.equal(world.take()[0]?.text.length, MSS);
  world.send({ ack: 1 + 8 * MSS });
  world.server.peer.send(text(2 * MSS, 8 * MSS));
  world.settle();
  assert.deepEqual(sizes(world.take()), [MSS, MSS]);
});

test('a router that answers a probe is believed: only the probe is sent again, and the next one has what was told', () => {
  const world = inFlight(4);
  world.advance(10_000);
  world.take();
  world.send({ ack: 1 + 4 * MSS });
  const mss = 1024;
  world.advance(1_500);
  world.server.peer.send(text(4 * MSS, 4 * MSS));
  world.settle();
  const start = 1 + 4 * MSS;
  const [probe] = world.take();
  assert.deepEqual([probe!.seq, probe!.text.length], [start, MSS]);
  tell(world, { mtu: 1200, seq: start + MSS });
  assert.deepEqual(world.said(), [], 'another segment is as long as what passes');
  tell(world, { mtu: 1200, seq: start });
  const again = world.take();
  assert.ok(again.every((segment) => segment.text.length <= mss));
  assertBytes(again, start, MSS);
  assert.equal(world.counters.get('tcp-path-mtu-reduced'), 1);
  world.send({ ack: start + 4 * MSS });
  world.advance(1_500);
  world.server.peer.send(text(4 * MSS, 8 * MSS));
  world.settle();
  assert.equal(world.take()[0]?.text.length, 1160);
  world.send({ ack: start + 8 * MSS });
  world.advance(60_000);
  world.server.peer.send(text(2 * 1160, 12 * MSS));
  world.settle();
  assert.deepEqual(sizes(world.take()), [1160, 1160], 'no longer one is tried for ten minutes');
});

test('a short segment that stays without answer, a shut window and an absent guest are no narrow path', () => {
  const short = established({ syn: { mss: MSS } });
  short.server.peer.send(text(100));
  short.settle();
  short.advance(10_000);
  assert.equal(short.counters.get('tcp-path-mtu-black-hole'), 0);
  const shut = inFlight(4);
  shut.send({ window: 0 });
  shut.advance(10_000);
  assert.equal(shut.counters.get('tcp-path-mtu-black-hole'), 0);
});

test('that a guest refuses our SYN is believed from the port that the SYN went to, not from another guest in its name', () => {
  const world = established();
  const failures: string[] = [];
  const opener = {
    established: () => {},
    unanswered: () => {},
    notOpened: (reason: string) => void failures.push(reason),
    ended: () => {},
  };
  const { neighbor } = world;
  const ends = { neighbor, guestPort: 40_001, remoteAddress: REMOTE, remotePort: REMOTE_PORT };
  world.tcp.openFor(ends, undefined, opener);
  world.settle();
  const seq = world.takeOne().seq;
  tell(world, { mtu: 0, port: 40_001, seq, code: 3, behind: { attached: true } });
  assert.deepEqual(failures, []);
  tell(world, { mtu: 0, port: 40_001, seq, code: 3 });
  assert.deepEqual(failures, ['refused']);
});
