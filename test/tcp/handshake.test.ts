import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOOPBACK4, LOOPBACK6 } from '../../src/env/host.ts';
import { echo } from '../../src/host/memory/memory-stream.ts';
import { parseProxyV2 } from '../../src/wire/proxy-v2.ts';
import { established, GUEST, ISNS, REMOTE, REMOTE_PORT, synReceived, TcpWorld, text } from '../support/tcp-peer.ts';

const SYN = { flags: 'S', seq: 0, syn: { mss: 1460, scale: 7, sack: true } } as const;

for (const [name, guestIss, stackIss] of ISNS) {
  const isns = { guestIss, stackIss };

  test(`the SYN is held until the host is connected, then answered (RFC 9293 §3.10.7.2; ${name})`, () => {
    const world = new TcpWorld(isns);
    world.listen();
    world.sendQuietly(SYN);
    assert.deepEqual(world.said(), []);
    assert.equal(world.state, 'SYN-HELD');
    assert.equal(world.tcp.dialsInFlight, 1);
    world.settle();
    assert.deepEqual(world.said(), ['SA 0 1']);
    assert.equal(world.state, 'SYN-RECEIVED');
    world.send({});
    assert.equal(world.state, 'ESTABLISHED');
    assert.equal(world.tcp.dialsInFlight, 0);
  });

  test(`a refused dial is RST|ACK with SEQ 0 and ACK = SEG.SEQ + 1 (RFC 9293 §3.10.7.1; ${name})`, () => {
    const world = new TcpWorld(isns);
    world.send(SYN);
    assert.deepEqual(world.said(), ['RA 0 1']);
    assert.equal(world.counters.get('tcp-refused'), 1);
    world.assertBaseLine();
  });

  test(`the final ACK may carry text and FIN (RFC 9293 §3.10.7.4; ${name})`, () => {
    const world = synReceived(isns);
    world.send({ flags: 'FA', text: new Uint8Array([1, 2, 3]) });
    assert.deepEqual([...world.server.received], [1, 2, 3]);
    assert.equal(world.server.ended, true);
    assert.deepEqual(world.said(), ['A 1 5']);
    assert.equal(world.state, 'CLOSE-WAIT');
  });

  test(`an ACK of anything but our SYN in SYN-RECEIVED is answered by RST (RFC 9293 §3.10.7.4; ${name})`, () => {
    const world = synReceived(isns);
    world.send({ ack: 2 });
    assert.deepEqual(world.said(), ['R 2 0']);
    assert.equal(world.state, 'SYN-RECEIVED');
  });
}

test('a repeated SYN while the host connects dials once', () => {
  const world = new TcpWorld();
  world.listen();
  world.sendQuietly(SYN, SYN);
  world.send(SYN);
  assert.equal(world.servers.length, 1);
  assert.equal(world.counters.get('tcp-dials'), 1);
});

test('a repeated SYN after our SYN-ACK is answered by the same SYN-ACK at once', () => {
  const world = synReceived();
  world.send(SYN);
  assert.deepEqual(world.said(), ['SA 0 1']);
  assert.equal(world.servers.length, 1);
});

test('a SYN with another number while the host connects is a new attempt: the old dial is given up', () => {
  const world = new TcpWorld();
  world.listen();
  world.sendQuietly(SYN);
  world.send({ ...SYN, seq: 5000 });
  assert.deepEqual(world.said(), ['SA 0 5001']);
  assert.equal(world.counters.get('tcp-dials'), 2);
  assert.equal(world.tcp.flowCount, 1);
});

for (const [code, icmp] of [
  ['ENETUNREACH', 0],
  ['EHOSTUNREACH', 1],
  ['EPERM', 13],
  ['EACCES', 13],
] as const) {
  for (const atOnce of [false, true]) {
    test(`${code} ${atOnce ? 'at once' : 'later'} is ICMP destination unreachable, code ${icmp}, that quotes the SYN`, () => {
      const world = new TcpWorld();
      world.host.failDial(REMOTE, REMOTE_PORT, code, atOnce);
      world.send(SYN);
      assert.deepEqual(world.said(), []);
      const firstWord = ((40_000 << 16) | REMOTE_PORT) >>> 0;
      assert.deepEqual(world.icmp, [{ type: 3, code: icmp, source: REMOTE, firstWord, secondWord: 1000 }]);
      world.assertBaseLine();
    });
  }
}

test('a SYN whose time to live ends on the way hears so from the router where it ended, not that the server is unreachable', () => {
  const world = new TcpWorld();
  const routers = [0x0a000001, 0x0a000002];
  world.host.route(REMOTE, routers);
  world.listen();
  for (const [i, router] of routers.entries()) {
    world.icmp.length = 0;
    world.send({ ...SYN, ttl: i + 2 });
    const firstWord = ((40_000 << 16) | REMOTE_PORT) >>> 0;
    assert.deepEqual(world.icmp, [{ type: 11, code: 0, source: router, firstWord, secondWord: 1000 }]);
    world.assertBaseLine();
  }
  world.send({ ...SYN, ttl: 4 });
  assert.deepEqual(world.said(), ['SA 0 1']);
});

test('what a router says of a dial reaches the guest in its name; who is refused by ICMP is not reset', () => {
  const world = new TcpWorld();
  const offender = 0x0a000001;
  for (const [error, code] of [
    ['EHOSTUNREACH', 10],
    ['ECONNREFUSED', 3],
  ] as const) {
    world.host.failDial(REMOTE, REMOTE_PORT, error, false, { icmpType: 3, icmpCode: code, offender });
    world.icmp.length = 0;
    world.send(SYN);
    assert.deepEqual(world.said(), []);
    assert.deepEqual([world.icmp[0]?.type, world.icmp[0]?.code, world.icmp[0]?.source], [3, code, offender]);
  }
});

for (const code of ['ETIMEDOUT', 'EMFILE', 'EADDRNOTAVAIL'] as const) {
  test(`a dial that ends with ${code} is forgotten and nothing is said`, () => {
    const world = new TcpWorld();
    world.host.failDial(REMOTE, REMOTE_PORT, code);
    world.send(SYN);
    assert.deepEqual(world.said(), []);
    assert.deepEqual(world.icmp, []);
    world.assertBaseLine();
  });
}

test('a black hole is silence for as long as the host keeps trying', () => {
  const world = new TcpWorld();
  world.host.blackHole(REMOTE);
  world.send(SYN);
  world.advance(60_000);
  assert.deepEqual(world.said(), []);
  assert.equal(world.state, 'SYN-HELD');
  world.tcp.destroy();
  world.assertBaseLine();
});

test("the guest's RST for its own SYN aborts the dial", () => {
  const world = new TcpWorld();
  world.listen();
  world.sendQuietly(SYN, { flags: 'RA', seq: 1 });
  world.settle();
  assert.deepEqual(world.said(), []);
  assert.equal(world.counters.get('tcp-dial-abandoned'), 1);
  assert.equal(world.tcp.flowCount, 0);
  world.assertBaseLine();
});

test('an RST with any other number leaves the dial alone (RFC 5961 §3.2)', () => {
  const world = new TcpWorld();
  world.listen();
  world.sendQuietly(SYN, { flags: 'R', seq: 7 });
  world.settle();
  assert.deepEqual(world.said(), ['SA 0 1']);
});

test("the guest's RST after our SYN-ACK resets the server", () => {
  const world = synReceived();
  world.send({ flags: 'R', seq: 1 });
  assert.equal(world.server.reset, 'ECONNRESET');
  world.assertBaseLine();
});

test('a SYN-ACK without an answer is repeated with back-off, then both sides are told (RFC 6298 §2.1, §5.5)', () => {
  const world = synReceived();
  const times: number[] = [];
  const start = world.nowMs;
  for (let ms = 0; ms < 200_000 && world.tcp.flowCount > 0; ms += 100) {
    world.advance(100);
    for (const said of world.said()) if (said === 'SA 0 1') times.push(Math.round((world.nowMs - start) / 1000));
  }
  assert.deepEqual(times, [1, 3, 7, 15, 31, 63]);
  assert.equal(world.server.reset, 'ECONNRESET');
  assert.equal(world.counters.get('tcp-handshake-abandoned'), 1);
  world.assertBaseLine();
});

test('a SYN-ACK that found the outlet full goes out as soon as there is room', () => {
  const world = new TcpWorld({ outlet: { capacity: 0 } });
  world.listen();
  world.send(SYN);
  assert.deepEqual(world.said(), []);
  world.outlet.reopen();
  world.settle();
  assert.deepEqual(world.said(), ['SA 0 1']);
});

test('dials in flight are bounded, one guest leaves an eighth to others, and the refused SYN may come again', () => {
  const world = new TcpWorld({ limits: { dialsInFlight: 8 } });
  world.host.blackHole(REMOTE);
  for (let port = 1; port <= 9; port++) world.sendQuietly({ ...SYN, port });
  assert.equal(world.tcp.dialsInFlight, 7);
  assert.equal(world.counters.get('tcp-dial-limit-of-guest'), 2);
  assert.deepEqual(world.said(), []);
  world.sendQuietly({ flags: 'R', seq: 1, port: 1 }, { ...SYN, port: 9 });
  assert.equal(world.tcp.dialsInFlight, 7);
  assert.equal(world.counters.get('tcp-dial-limit-of-guest'), 2);
  world.tcp.destroy();
  world.assertBaseLine();
});

test('flows are bounded and the refusal is counted', () => {
  const world = new TcpWorld({ limits: { flows: 3 } });
  world.listen();
  for (let port = 1; port <= 5; port++) world.send({ ...SYN, port });
  assert.equal(world.tcp.flowCount, 3);
  assert.equal(world.counters.get('tcp-flow-limit'), 2);
});

test('the host has no descriptor left: the dial that is missed least goes, and the repeated SYN finds one', () => {
  const world = new TcpWorld();
  world.host.blackHole(REMOTE);
  for (let port = 1; port <= 3; port++) world.sendQuietly({ ...SYN, port });
  world.advance(5000);
  world.sendQuietly({ ...SYN, port: 1 });
  world.host.failDial(REMOTE, REMOTE_PORT, 'EMFILE', true);
  world.send({ ...SYN, port: 4 });
  assert.equal(world.counters.get('tcp-dial-no-descriptor'), 1);
  assert.equal(world.counters.get('tcp-dial-evicted'), 1);
  assert.equal(world.tcp.dialsInFlight, 2);
  assert.deepEqual(world.said(), []);
  world.listen();
  world.send({ ...SYN, port: 4 });
  assert.equal(world.takeOne().flags, 'SA');
});

test('a guest whose flows in use take every descriptor gives one up to a guest that has fewer, and none to itself', () => {
  const world = new TcpWorld();
  world.listen();
  for (let port = 1; port <= 4; port++) world.send({ ...SYN, port }, { port });
  world.host.failDial(REMOTE, REMOTE_PORT, 'EMFILE', true);
  world.send({ ...SYN, port: 5 });
  assert.equal(world.counters.get('tcp-flow-evicted'), 0);
  world.neighbor.port = { ...world.neighbor.port, attachment: 'tap1' };
  world.send({ ...SYN, port: 6 });
  assert.equal(world.counters.get('tcp-flow-evicted'), 1);
  assert.equal(world.tcp.flowCount, 3);
});

test('what the route refuses gets RST, what it prohibits gets ICMP 13, what it drops gets nothing', () => {
  const reason = 'route-test';
  for (const [kind, said, icmp] of [
    ['refuse', ['RA 0 1'], 0],
    ['prohibit', [], 1],
    ['drop', [], 0],
  ] as const) {
    const world = new TcpWorld({ decide: () => ({ kind, reason }) });
    world.send(SYN);
    assert.deepEqual(world.said(), said);
    assert.equal(world.icmp.length, icmp);
    assert.equal(world.counters.get(reason), 1);
    world.assertBaseLine();
  }
});

test("the host's 127.0.0.1 that refuses is asked again as [::1], once", () => {
  for (const listening of [true, false]) {
    const world = new TcpWorld({ decide: (_address, port) => ({ kind: 'host', address: LOOPBACK4, port }) });
    if (listening) world.host.listenTcp(LOOPBACK6, REMOTE_PORT, echo);
    world.send(SYN);
    assert.deepEqual(world.said(), [listening ? 'SA 0 1' : 'RA 0 1']);
    world.tcp.destroy();
    world.settle();
    world.assertBaseLine();
  }
});

test('a gateway service is dialled by name and told who asks', () => {
  const world = new TcpWorld({ decide: () => ({ kind: 'service', service: 'dns' }) });
  let first = new Uint8Array(0);
  world.host.listenService('dns', () => ({
    data: (bytes) => {
      first = new Uint8Array(bytes);
    },
  }));
  world.send(SYN);
  assert.deepEqual(world.said(), ['SA 0 1']);
  const header = parseProxyV2(first, 0, first.length);
  assert.ok(typeof header === 'object', 'a PROXY v2 header came first');
  const { attachmentAt, attachmentBytes, headerBytes } = header;
  assert.equal(String(Buffer.from(first).subarray(attachmentAt, attachmentAt + attachmentBytes)), 'tap0');
  assert.equal(headerBytes, first.length);
  for (let end = 0; end < first.length; end++) assert.equal(parseProxyV2(first, 0, end), undefined);
  assert.deepEqual([...first.subarray(16, 20)], [GUEST >>> 24, (GUEST >>> 16) & 255, (GUEST >>> 8) & 255, GUEST & 255]);
});

test('MSS is the lesser of what both sides can take; without the option 536 (RFC 9293 §3.7.1)', () => {
  for (const [mtu, mss, expected] of [
    [1500, 1460, 1460],
    [1500, 9000, 1460],
    [1500, 500, 500],
    [65_520, 65_480, 65_480],
    [1500, 0, 536],
    [1500, 1, 64],
  ] as const) {
    const world = new TcpWorld({ outlet: { mtu } });
    world.listen((server) => server.peer.send(new Uint8Array(200_000)));
    world.send({ flags: 'S', seq: 0, ...(mss === 0 ? {} : { syn: { mss } }) });
    assert.equal(world.takeOne().mss, mtu - 40, 'ours is the MTU less 40');
    world.send({ window: 65_535 });
    assert.equal(world.take()[0]?.text.length, Math.min(expected, 65_535), `MTU ${mtu}, MSS ${mss}`);
  }
});

test('window scale and SACK are answered only when they were offered (RFC 7323 §2.2, RFC 2018 §2)', () => {
  for (const scale of [-1, 0, 7, 14]) {
    for (const sack of [false, true]) {
      const world = new TcpWorld();
      world.listen();
      world.send({ ...SYN, syn: { mss: 1460, scale, sack } });
      const answer = world.takeOne();
      assert.equal(answer.scale, scale < 0 ? -1 : 7);
      assert.equal(answer.sackPermitted, sack);
      assert.equal(answer.window, 65_535, 'a window in a SYN is never scaled');
    }
  }
});

test("the guest's windows are scaled by what it offered, but not in its SYN (RFC 7323 §2.2)", () => {
  const world = established({
    syn: { scale: 3 },
    window: 365,
    script: (server) => server.peer.send(new Uint8Array(9000)),
  });
  const sent = world.take().reduce((sum, segment) => sum + segment.text.length, 0);
  assert.equal(sent, 365 * 8);
});

test('bad checksums and headers are counted and answered by nothing', () => {
  const world = new TcpWorld();
  world.listen();
  world.send({ ...SYN });
  world.take();
  world.turn.ingress.add({
    queued: false,
    work: () => {
      const at = world.arena.allocate(64);
      const frame = { checksumValid: false, needsChecksum: false };
      const packet = { frame, neighbor: world.neighbor, payloadAt: at, source: GUEST, destination: REMOTE };
      world.tcp.receive({ ...packet, payloadEnd: at + 12 } as never);
      world.tcp.receive({ ...packet, payloadEnd: at + 20 } as never);
      world.arena.bytes[at + 12] = 0x50;
      world.tcp.receive({ ...packet, payloadEnd: at + 20 } as never);
    },
  });
  world.settle();
  assert.deepEqual(world.said(), []);
  for (const word of ['tcp-truncated', 'tcp-bad-header-length', 'tcp-bad-checksum']) {
    assert.equal(world.counters.get(word), 1, word);
  }
});

test('a connection to the host bears the DSCP of the guest’s SYN, then of what came last, never its ECN bits', () => {
  const world = new TcpWorld();
  world.listen();
  world.send({ ...SYN, tos: 0x4b });
  world.send({ tos: 0x4a });
  assert.equal(world.server.peer.dscp, 0x48);
  world.send({ text: text(10), tos: 0x21 });
  assert.equal(world.server.peer.dscp, 0x20);
  world.send({ seq: 11, tos: 0 });
  assert.equal(world.server.peer.dscp, 0);
});

test('however often a guest changes its DSCP within a turn, the host’s socket is told once, and what came last', () => {
  const world = new TcpWorld();
  world.listen();
  world.send({ ...SYN, tos: 0 });
  world.send({});
  const { peer } = world.server;
  const set: number[] = [];
  Object.defineProperty(peer, 'dscp', { set: (dscp: number) => void set.push(dscp) });
  world.send(...Array.from({ length: 63 }, (_, i) => ({ text: text(10), tos: (i + 1) << 2 })));
  assert.deepEqual(set, [63 << 2]);
  world.send({ seq: 11, tos: 0x28 });
  assert.deepEqual(set, [63 << 2, 0x28]);
});
