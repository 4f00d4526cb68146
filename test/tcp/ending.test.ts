import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  assertSameBytes,
  closeWait,
  concat,
  established,
  finWait1,
  finWait2,
  ISNS,
  synReceived,
  type TcpWorld,
  text,
} from '../support/tcp-peer.ts';

const SYN = { flags: 'S', syn: { mss: 1460, scale: 7, sack: true } } as const;

for (const [name, guestIss, stackIss] of ISNS) {
  const isns = { guestIss, stackIss };

  test(`the guest ends, the server still sends, then ends (RFC 9293 §3.6, case 2; ${name})`, () => {
    const world = closeWait(isns);
    assert.equal(world.server.ended, true);
    world.server.peer.send(text(1000));
    world.settle();
    assert.deepEqual(world.said(), ['PA 1 2 +1000']);
    world.send({ seq: 2, ack: 1001 });
    world.server.peer.end();
    world.settle();
    assert.deepEqual(world.said(), ['FA 1001 2']);
    assert.equal(world.state, 'LAST-ACK');
    world.send({ seq: 2, ack: 1002 });
    assert.equal(world.tcp.timeWaitCount, 0);
    assert.equal(world.server.reset, undefined);
    world.assertBaseLine();
  });

  test(`the server ends, the guest still sends, then ends: TIME-WAIT (RFC 9293 §3.6, case 1; ${name})`, () => {
    const world = finWait2(isns);
    world.send({ ack: 2, text: text(1000) }, { seq: 1001, ack: 2, flags: 'FA' });
    assertSameBytes(world.server.received, text(1000));
    assert.equal(world.server.ended, true);
    assert.deepEqual(world.said(), ['A 2 1002']);
    assert.equal(world.tcp.timeWaitCount, 1);
    world.assertBaseLine();
  });

  test(`both end at the same time: CLOSING, then TIME-WAIT (RFC 9293 §3.6, case 3; ${name})`, () => {
    const world = finWait1(isns);
    world.send({ flags: 'FA', ack: 1 });
    assert.equal(world.state, 'CLOSING');
    assert.deepEqual(world.said(), ['A 2 2']);
    world.send({ seq: 2, ack: 2 });
    assert.equal(world.tcp.timeWaitCount, 1);
    world.assertBaseLine();
  });

  test(`a FIN that acknowledges our FIN ends FIN-WAIT-1 in one step (RFC 9293 §3.10.7.4, eighth; ${name})`, () => {
    const world = finWait1(isns);
    world.send({ flags: 'FA', ack: 2 });
    assert.deepEqual(world.said(), ['A 2 2']);
    assert.equal(world.tcp.timeWaitCount, 1);
    world.assertBaseLine();
  });

  test(`text and FIN in one segment, and text and end from the server at once (${name})`, () => {
    const world = established(isns);
    world.server.peer.send(text(100));
    world.server.peer.end();
    world.settle();
    assert.deepEqual(world.said(), ['PA 1 1 +100', 'FA 101 1']);
    world.send({ flags: 'FPA', ack: 102, text: text(50) });
    assert.deepEqual(world.said(), ['A 102 52']);
    assertSameBytes(world.server.received, text(50));
    world.assertBaseLine();
  });

  test(`a lost FIN of ours is sent again, with the text before it where that was lost too (RFC 6298 §5.4; ${name})`, () => {
    const world = established(isns);
    world.server.peer.send(text(100));
    world.server.peer.end();
    world.settle();
    assert.deepEqual(world.said(), ['PA 1 1 +100', 'FA 101 1']);
    world.advance(1100);
    assert.deepEqual(world.said(), ['PA 1 1 +100', 'FA 101 1']);
    world.send({ ack: 101 });
    assert.equal(world.state, 'FIN-WAIT-1');
    world.take();
    world.advance(4000);
    assert.ok(world.said().includes('FA 101 1'));
    world.send({ ack: 102 });
    assert.equal(world.state, 'FIN-WAIT-2');
  });

  test(`a host reset is a RST at exactly sndNxt (${name})`, () => {
    const world = established(isns);
    world.server.peer.send(text(10));
    world.settle();
    assert.deepEqual(world.said(), ['PA 1 1 +10']);
    world.send({ ack: 11 });
    world.server.peer.reset();
    world.settle();
    assert.deepEqual(world.said(), ['RA 11 1']);
    world.assertBaseLine();
  });

  test(`what the host holds when it is reset is delivered first, lost segments included (${name})`, () => {
    const world = established(isns);
    world.server.peer.send(text(10_000));
    world.settle();
    world.server.peer.reset();
    world.settle();
    const sent = world.take();
    assert.ok(
      sent.every(({ flags }) => !flags.includes('R')),
      'no RST before the text is acknowledged',
    );
    assertSameBytes(concat(sent.map((segment) => segment.text)), text(10_000));
    world.advance(1100);
    assert.deepEqual(
      world.said().slice(0, 1),
      ['A 1 1 +1460'].map((s) => s.replace('A', 'PA')),
    );
    world.send({ ack: 10_001 });
    assert.deepEqual(world.said().at(-1), 'RA 10001 1');
    world.assertBaseLine();
  });

  test(`a host reset behind the guest's shut window: the text waits for the window, then RST (${name})`, () => {
    const world = established({ ...isns, window: 1000 });
    world.server.peer.send(text(3000));
    world.settle();
    assert.deepEqual(
      world.said(),
      ['A 1 1 +1000'].map((s) => s.replace('A', 'PA')),
    );
    world.send({ ack: 1001, window: 0 });
    world.server.peer.reset();
    world.settle();
    assert.deepEqual(world.said(), []);
    world.advance(3000);
    assert.ok(
      world.said().every((said) => said === 'A 1000 1'),
      'only probes',
    );
    world.send({ ack: 1001, window: 60_000 });
    assert.deepEqual(world.said(), ['A 1001 1 +1460', 'PA 2461 1 +540']);
    world.send({ ack: 3001 });
    assert.deepEqual(world.said(), ['RA 3001 1']);
    world.assertBaseLine();
  });

  test(`a host reset behind a window that stays shut is told after a minute, the text is not kept for ever (${name})`, () => {
    const world = established({ ...isns, window: 1000 });
    world.server.peer.send(text(3000));
    world.settle();
    world.said();
    world.send({ ack: 1001, window: 0 });
    world.server.peer.reset();
    world.settle();
    const last: string[] = [];
    for (let seconds = 0; seconds < 240 && last.at(-1) !== 'RA 1001 1'; seconds++) {
      world.advance(1000);
      for (const said of world.said()) {
        last.push(said);
        if (said === 'A 1000 1') world.send({ ack: 1001, window: 0 });
      }
    }
    assert.equal(last.at(-1), 'RA 1001 1');
    assert.ok(last.length > 6, last.join());
    world.assertBaseLine();
  });

  test(`a host reset with nothing queued is told at once though the guest's window is shut (${name})`, () => {
    const world = established({ ...isns, window: 0 });
    world.server.peer.reset();
    world.settle();
    assert.deepEqual(world.said(), ['RA 1 1']);
    world.assertBaseLine();
  });

  test(`a host reset after the host's end is still told (${name})`, () => {
    const world = finWait2(isns);
    world.server.peer.reset();
    world.settle();
    assert.deepEqual(world.said(), ['RA 2 1']);
    world.assertBaseLine();
  });

  test(`the guest's RST resets the server (RFC 9293 §3.10.7.4, second; ${name})`, () => {
    const world = established(isns);
    world.send({ flags: 'R' });
    assert.equal(world.server.reset, 'ECONNRESET');
    assert.deepEqual(world.said(), []);
    world.assertBaseLine();
  });
}

test('the end of the server behind a shut window waits for room, as text does, and is told when it opens', () => {
  const world = established({ window: 0 });
  world.server.peer.end();
  world.settle();
  assert.deepEqual(world.said(), []);
  world.advance(1100);
  assert.deepEqual(world.said(), ['A 0 1'], 'a window probe');
  world.send({ window: 1000 });
  assert.deepEqual(world.said(), ['FA 1 1']);
});

test("text to a host that was reset is taken off the guest's hands until the RST; nothing is said as delivered after it", () => {
  const world = established();
  world.server.peer.send(text(5000));
  world.settle();
  world.take();
  world.server.peer.reset();
  world.settle();
  world.send({ text: text(4000), ack: 1 });
  world.send({ seq: 4001, ack: 5001 });
  assert.deepEqual(world.said().at(-1), 'RA 5001 4001');
  world.assertBaseLine();
});

function slowServer(): TcpWorld {
  const limits = { hostSendBytes: 4096, peerReceiveBytes: 4096 };
  return established({ host: { limits }, script: (server) => server.peer.pause() });
}

test('the guest ends with bytes queued towards a slow server: all are delivered, then the end', () => {
  const world = slowServer();
  world.take();
  const all = text(50_000);
  for (let at = 0; at < all.length; at += 1000) world.sendQuietly({ seq: 1 + at, text: all.subarray(at, at + 1000) });
  world.send({ seq: 50_001, flags: 'FA' });
  assert.deepEqual(world.said().at(-1), 'A 1 50002');
  assert.equal(world.server.ended, false);
  world.server.peer.resume();
  world.settle();
  assertSameBytes(world.server.received, all);
  assert.equal(world.server.ended, true);
  assert.equal(world.state, 'CLOSE-WAIT');
  world.server.peer.end();
  world.settle();
  world.send({ seq: 50_002, ack: 2 });
  world.assertBaseLine();
});

for (const answer of [0, 3000]) {
  test(`a RST of the guest after its FIN destroys nothing that it sent, with ${answer} bytes of answer unread`, () => {
    const world = slowServer();
    const all = text(50_000);
    world.server.peer.send(text(answer));
    world.settle();
    for (let at = 0; at < all.length; at += 1000) world.sendQuietly({ seq: 1 + at, text: all.subarray(at, at + 1000) });
    world.send({ seq: 50_001, flags: 'FA' }, { seq: 50_002, flags: 'R' });
    world.take();
    assert.equal(world.state, 'DRAINING');
    // The ports are free for the guest at once.
    world.send({ ...SYN, seq: 900_000 });
    assert.deepEqual(world.said(), ['SA 0 900001']);
    world.servers[0]!.peer.resume();
    world.settle();
    assertSameBytes(world.servers[0]!.received, all);
    assert.equal(world.servers[0]!.ended, true);
    assert.equal(world.servers[0]!.reset, 'ECONNRESET');
    assert.equal(world.tcp.flowCount, 1);
    world.send({ seq: 900_001, flags: 'R' });
    world.assertBaseLine();
  });
}

for (const [name, make] of [
  ['SYN-RECEIVED', synReceived],
  ['ESTABLISHED', established],
  ['FIN-WAIT-1', finWait1],
  ['FIN-WAIT-2', finWait2],
  ['CLOSE-WAIT', closeWait],
] as const) {
  test(`a RST of the guest in ${name} resets the server in the same turn when nothing of the guest's is on its way`, () => {
    const world = make();
    const seq = name === 'CLOSE-WAIT' ? 2 : 1;
    world.sendQuietly({ flags: 'R', seq });
    world.host.deliver();
    assert.equal(world.server.reset, 'ECONNRESET');
    world.assertBaseLine();
  });
}

for (const [name, end] of [
  ['LAST-ACK', (world: TcpWorld) => world.server.peer.end()],
  ['CLOSE-WAIT, the server sending', (world: TcpWorld) => world.server.peer.send(text(20_000))],
] as const) {
  test(`a RST of the guest in ${name} resets the server in the same turn`, () => {
    const world = closeWait();
    end(world);
    world.settle();
    world.sendQuietly({ flags: 'R', seq: 2 });
    world.host.deliver();
    assert.equal(world.server.reset, 'ECONNRESET');
    world.assertBaseLine();
  });
}

test('a RST that answers what was sent before the FIN was acknowledged has the number of the FIN, and is believed', () => {
  const world = established();
  world.server.peer.send(text(1000));
  world.settle();
  world.send({ flags: 'FA' });
  world.sendQuietly({ flags: 'R', seq: 1 });
  world.host.deliver();
  assert.equal(world.server.reset, 'ECONNRESET');
  world.assertBaseLine();
});

test('a RST with the number before the next is of no one where no FIN came', () => {
  const world = established();
  world.send({ text: text(10) }, { flags: 'R', seq: 10 });
  assert.equal(world.server.reset, undefined);
  assert.equal(world.state, 'ESTABLISHED');
});

test('a RST of the guest without a FIN comes to the server behind the bytes that were acknowledged to the guest', () => {
  const world = slowServer();
  const all = text(20_000);
  for (let at = 0; at < all.length; at += 1000) world.sendQuietly({ seq: 1 + at, text: all.subarray(at, at + 1000) });
  world.send({ seq: 20_001, flags: 'R' });
  assert.equal(world.server.reset, undefined);
  world.server.peer.resume();
  world.advance(1000);
  assertSameBytes(world.server.received, all);
  assert.equal(world.server.ended, false, 'a false end');
  assert.equal(world.server.reset, 'ECONNRESET');
  world.assertBaseLine();
});

test('a server that takes nothing of what a guest sent before its RST is told of it within ten seconds', () => {
  const world = slowServer();
  for (let i = 0; i < 20; i++) world.sendQuietly({ seq: 1 + i * 1000, text: text(1000) });
  world.send({ seq: 20_001, flags: 'R' });
  world.advance(9000);
  assert.equal(world.server.reset, undefined);
  world.advance(2000);
  assert.equal(world.server.reset, 'ECONNRESET');
  assert.equal(world.counters.get('tcp-drain-given-up'), 1);
  world.assertBaseLine();
});

for (const ending of ['R', 'FA'] as const) {
  test(`a server that sends on and on, and reads nothing of what is on its way, is reset after 4 MiB (${ending})`, () => {
    const world = slowServer();
    for (let i = 0; i < 20; i++) world.sendQuietly({ seq: 1 + i * 1000, text: text(1000) });
    world.send({ seq: 20_001, flags: ending }, { seq: ending === 'R' ? 20_001 : 20_002, flags: 'R' });
    world.server.peer.send(text(3 * 2 ** 20));
    world.settle();
    assert.equal(world.server.reset, undefined);
    world.server.peer.send(text(3 * 2 ** 20));
    world.settle();
    assert.equal(world.server.reset, 'ECONNRESET');
    world.assertBaseLine();
  });
}

for (const [name, make] of [
  ['CLOSE-WAIT', closeWait],
  ['FIN-WAIT-2', finWait2],
] as const) {
  test(`a guest that is silent in ${name} is asked after two minutes, and given up after thirteen`, () => {
    const world = make();
    world.advance(115_000);
    assert.deepEqual(world.said(), []);
    world.advance(10_000);
    assert.equal(world.said().length, 1);
    world.advance(9 * 75_000 + 10_000);
    assert.equal(world.server.reset, 'ECONNRESET');
    world.assertBaseLine();
  });
}

for (const [name, make] of [
  ['SYN-RECEIVED', synReceived],
  ['FIN-WAIT-1', finWait1],
] as const) {
  test(`a guest that answers nothing in ${name} loses its place, and the server is told`, () => {
    const world = make();
    world.advance(13 * 60_000);
    assert.equal(world.server.reset, 'ECONNRESET');
    world.assertBaseLine();
  });
}

test('a guest that answers nothing in LAST-ACK loses its place', () => {
  const world = closeWait();
  world.server.peer.end();
  world.settle();
  world.advance(13 * 60_000);
  world.assertBaseLine();
});

test('what a guest acknowledges with its FIN is none of what a server sends while the rest drains', () => {
  const limits = { hostSendBytes: 10, peerReceiveBytes: 10, hostReceiveBytes: 16 * 2 ** 20 };
  const world = established({ host: { limits }, syn: { scale: 7 }, outlet: { capacity: 100_000 } });
  const { server } = world;
  server.peer.pause();
  let acknowledged = 1;
  // Each acknowledgement of all doubles the congestion window.
  for (const bytes of [2 ** 19, 2 ** 20, 2 ** 21, 2 ** 22, 5 * 2 ** 20]) {
    server.peer.send(text(bytes));
    if (bytes > 2 ** 22) server.peer.end();
    world.settle();
    const last = world.take().at(-1)!;
    acknowledged = last.seq + last.text.length + (last.flags.includes('F') ? 1 : 0);
    if (bytes <= 2 ** 22) world.send({ ack: acknowledged });
  }
  assert.equal(world.state, 'FIN-WAIT-1');
  world.send({ flags: 'FA', ack: acknowledged, text: text(1000) });
  world.advance(100);
  server.peer.resume();
  world.settle();
  assert.equal(server.reset, undefined);
  assertSameBytes(server.received, text(1000));
  assert.equal(server.ended, true);
});

test('the server resets while the last bytes drain: the flow is gone', () => {
  const world = slowServer();
  world.send({ text: text(1460) }, { seq: 1461, text: text(1460) }, { seq: 2921, text: text(1460) });
  for (let i = 3; i < 12; i++) world.send({ seq: 1 + i * 1460, text: text(1460) });
  world.send({ seq: 1 + 12 * 1460, flags: 'FA' }, { seq: 2 + 12 * 1460, flags: 'R' });
  assert.equal(world.state, 'DRAINING');
  world.server.peer.reset();
  world.settle();
  world.assertBaseLine();
});

test('TIME-WAIT acknowledges a repeated FIN and ignores a RST with any number but the next (RFC 9293 §3.10.7.4, RFC 1337)', () => {
  const world = finWait2();
  world.send({ flags: 'FA', ack: 2 });
  world.take();
  world.send({ flags: 'FA', ack: 2 });
  assert.deepEqual(world.said(), ['A 2 2']);
  world.send({ flags: 'R', seq: 1 }, { flags: 'R', seq: 3 });
  assert.deepEqual(world.said(), []);
  assert.equal(world.tcp.timeWaitCount, 1);
});

test('a guest that was restored from a snapshot frees its ports in TIME-WAIT by the RST that answers our ACK', () => {
  const world = finWait2();
  world.send({ flags: 'FA', ack: 2 });
  world.take();
  world.send({ ...SYN, seq: -500 });
  assert.deepEqual(world.said(), ['A 2 2']);
  world.send({ flags: 'R', seq: 2 });
  assert.equal(world.tcp.timeWaitCount, 0);
  world.send({ ...SYN, seq: -500 });
  assert.equal(world.takeOne().flags, 'SA');
});

test('the RST behind the last text of a server that reset goes out when the outlet has room', () => {
  const world = established();
  world.server.peer.send(text(100));
  world.settle();
  world.server.peer.reset();
  world.settle();
  assert.deepEqual(world.said(), ['PA 1 1 +100']);
  world.outlet.capacity = 0;
  world.send({ ack: 101 });
  assert.deepEqual(world.said(), []);
  world.outlet.reopen();
  world.settle();
  assert.deepEqual(world.said(), ['RA 101 1']);
  world.assertBaseLine();
});

test('a flow that is killed while the outlet is full tells its guest when there is room', () => {
  const world = established();
  world.outlet.capacity = 0;
  const [flow] = world.tcp.list(1);
  assert.ok(flow !== undefined);
  assert.ok(world.tcp.kill(flow.guestAddress, flow.guestPort, flow.remoteAddress, flow.remotePort));
  world.outlet.reopen();
  world.settle();
  assert.deepEqual(world.said(), ['RA 1 1']);
});

test('text that the server did not take is not acknowledged because a FIN follows it', () => {
  const world = finWait2();
  world.server.peer.reset();
  world.host.deliver();
  world.sendQuietly({ ack: 2, text: text(1000) }, { seq: 1001, ack: 2, flags: 'FA' });
  world.settle();
  assert.equal(world.server.received.length, 0);
  assert.deepEqual(world.said(), ['RA 2 1002']);
  world.assertBaseLine();
});

test('a server that takes nothing of what drains is given up after ten minutes, and may be killed before', () => {
  for (const kill of [false, true]) {
    const world = slowServer();
    for (let i = 0; i < 30; i++) world.sendQuietly({ seq: 1 + i * 1000, text: text(1000) });
    world.send({ seq: 30_001, flags: 'FA' }, { seq: 30_002, flags: 'R' });
    assert.equal(world.state, 'DRAINING');
    world.advance(590_000);
    assert.equal(world.state, 'DRAINING');
    const [flow] = world.tcp.list(1);
    assert.ok(flow !== undefined);
    if (kill) assert.ok(world.tcp.kill(flow.guestAddress, flow.guestPort, flow.remoteAddress, flow.remotePort));
    else world.advance(20_000);
    assert.equal(world.counters.get('tcp-drain-given-up'), kill ? 0 : 1);
    world.assertBaseLine();
  }
});

test('what a server sends while the rest drains is dropped though no chunk is free', () => {
  const limits = { hostSendBytes: 4096, peerReceiveBytes: 4096, hostReceiveBytes: 65_536 };
  const world = established({
    window: 0,
    limits: { windowBytes: 16_384 },
    host: { limits },
    script: (server) => {
      server.peer.pause();
      server.peer.send(text(200_000));
    },
  });
  for (let i = 0; i < 7; i++) world.send({ seq: 1 + i * 1460, text: text(1460, i * 1460), window: 0 });
  world.send({ seq: 1 + 7 * 1460, flags: 'FA', window: 0 }, { seq: 2 + 7 * 1460, flags: 'R' });
  assert.equal(world.state, 'DRAINING');
  world.server.peer.end();
  world.settle();
  world.server.peer.resume();
  world.settle();
  assertSameBytes(world.server.received, text(7 * 1460));
  assert.equal(world.server.ended, true);
  world.assertBaseLine();
});

test('TIME-WAIT yields to a SYN beyond its numbers, and not to an older one (RFC 9293 §3.6.1)', () => {
  const world = finWait2();
  world.send({ flags: 'FA', ack: 2 });
  world.take();
  world.send({ ...SYN, seq: -50 });
  assert.deepEqual(world.said(), ['A 2 2']);
  world.send({ ...SYN, seq: 70_000 });
  const answer = world.takeOne();
  assert.equal(answer.flags, 'SA');
  assert.equal(answer.ack, 70_001);
  assert.ok(answer.seq >= 65_536, 'our numbers go on beyond the old ones');
  assert.equal(world.tcp.timeWaitCount, 0);
});

test('TIME-WAIT ends after a minute: then nothing is known of the connection', () => {
  const world = finWait2();
  world.send({ flags: 'FA', ack: 2 });
  world.take();
  world.advance(60_001);
  world.send({ flags: 'FA', ack: 2 });
  assert.deepEqual(world.said(), ['R 2 0']);
});

test('an ACK for no flow gets RST with SEQ = SEG.ACK; anything else one that acknowledges it; a RST nothing (RFC 9293 §3.5.2)', () => {
  const world = established();
  world.send({ port: 1, ack: 777, seq: 5 }, { port: 2, flags: 'F', seq: 9, text: text(10) }, { port: 3, flags: 'RA' });
  assert.deepEqual(world.said(), ['R 777 0', 'RA 0 20']);
});

test('RSTs for no flow are limited and what is withheld is counted', () => {
  const world = established();
  const flood = Array.from({ length: 6000 }, (_, i) => ({ port: 1000 + (i % 500), ack: i }));
  world.sendQuietly(...flood);
  const sent = world.take().length;
  assert.equal(sent, 5000);
  assert.equal(world.counters.get('tcp-reset-rate-limited'), 1000);
});

test('what ends every flow ends held dials, half-open and open ones alike', () => {
  const world = synReceived();
  world.send({ ...SYN, seq: 0, port: 5 });
  world.send({ seq: 1, port: 5 });
  world.sendQuietly({ ...SYN, seq: 0, port: 6 });
  assert.equal(world.tcp.flowCount, 3);
  world.tcp.destroy();
  world.settle();
  world.assertBaseLine();
  assert.deepEqual(
    world.servers.map(({ reset }) => reset),
    ['ECONNRESET', 'ECONNRESET'],
  );
});

test('after the guest ended no window is promised any more, and its ACKs and RST are still taken', () => {
  const world = closeWait();
  assert.equal(world.tcp.windowBytesReserved, 0);
  world.server.peer.send(text(3000));
  world.settle();
  assert.equal(world.take().length, 3);
  world.send({ seq: 2, ack: 3001 });
  world.advance(5000);
  assert.equal(world.counters.get('tcp-retransmission-timeout'), 0);
  world.send({ flags: 'FA' });
  assert.deepEqual(world.said(), ['A 3001 2']);
  world.send({ seq: 2, flags: 'R' });
  world.server.peer.end();
  world.settle();
  world.assertBaseLine();
});
