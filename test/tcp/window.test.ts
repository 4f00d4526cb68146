import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertSameBytes, concat, established, ISNS, type TcpWorld, text } from '../support/tcp-peer.ts';

const SLOW = { limits: { hostSendBytes: 8192, peerReceiveBytes: 8192 } };

/** Sends as much as the window allows, as a guest with endless text does; returns the next byte's number. */
function fill(world: TcpWorld, from: number, edge: number, mss: number): number {
  while (from < edge) {
    const length = Math.min(mss, edge - from);
    world.send({ seq: from, text: text(length, from - 1) });
    from += length;
  }
  return from;
}

for (const [name, guestIss, stackIss] of ISNS) {
  for (const [mtu, scale] of [
    [1500, 0],
    [1500, -1],
    [65_520, 0],
  ] as const) {
    const label = `${name}, MTU ${mtu}, ${scale < 0 ? 'no' : 'with'} window scale`;
    test(`a slow server closes the window at what was promised, nothing acknowledged is lost, and it opens again (${label})`, () => {
      const syn = { scale, mss: mtu - 40 };
      const script = (server: { peer: { pause(): void } }): void => server.peer.pause();
      const world = established({ guestIss, stackIss, syn, outlet: { mtu }, host: SLOW, script });
      world.take();
      const unit = scale < 0 ? 1 : 128;
      let edge = 65_536;
      let next = 1;
      for (let rounds = 0; rounds < 100; rounds++) {
        next = fill(world, next, edge, mtu - 40);
        world.advance(20);
        let moved = false;
        for (const { ack, window } of world.take()) {
          const right = ack + window * unit;
          assert.ok(right > edge - unit, `the edge moved left from ${edge} to ${right}`);
          if (right > edge) moved = true;
          edge = Math.max(edge, right);
        }
        if (!moved && next === edge) break;
      }
      assert.equal(next, edge, 'the guest filled what was promised');
      assert.ok(edge < 400_000, `a window of ${edge} towards a server that reads nothing`);
      world.send({ seq: next, text: text(100, next - 1) });
      assert.equal(world.take().at(-1)?.window, 0);
      world.server.peer.resume();
      world.settle();
      const update = world.take().at(-1);
      assert.ok(update !== undefined && update.ack + update.window * unit >= edge + 10_000, 'a window update was sent');
      const ack = update.ack;
      assertSameBytes(world.server.received, text(ack - 1));
      world.send({ seq: ack, flags: 'R' });
      world.assertBaseLine();
    });
  }

  test(`a shut window is probed with back-off for as long as the guest answers (RFC 9293 §3.8.6.1; ${name})`, () => {
    const world = established({ guestIss, stackIss, window: 0 });
    world.server.peer.send(text(500));
    world.settle();
    assert.deepEqual(world.said(), []);
    const start = world.nowMs;
    const times: number[] = [];
    for (let ms = 0; ms < 1_800_000; ms += 1000) {
      world.advance(1000);
      for (const said of world.said()) {
        assert.equal(said, 'A 0 1');
        times.push(Math.round((world.nowMs - start) / 1000));
        world.send({ window: 0 });
      }
    }
    assert.ok(times.length > 20);
    assert.ok((times[0] ?? 99) <= 2 && times.at(-1)! - times.at(-2)! >= 59, `probes at ${times.join()}`);
    world.send({ window: 65_535 });
    assert.deepEqual(world.said(), ['PA 1 1 +500']);
  });
}

test('a shut window is probed though the server goes on sending a little', () => {
  const world = established({ window: 0 });
  for (let ms = 0; ms < 10_000; ms += 100) {
    world.server.peer.send(text(1));
    world.settle();
    world.advance(100);
  }
  assert.equal(world.said()[0], 'A 0 1');
});

test('a guest that answers no window probe is given up', () => {
  const world = established({ window: 0 });
  world.server.peer.send(text(500));
  world.settle();
  world.advance(30 * 60_000);
  assert.equal(world.counters.get('tcp-guest-gone'), 1);
  assert.equal(world.server.reset, 'ECONNRESET');
  world.assertBaseLine();
});

test('a small rest waits while something is in flight, unless it is half the largest window (RFC 9293 §3.8.6.2.1)', () => {
  const world = established({ window: 4000, syn: { mss: 1000 } });
  world.server.peer.send(text(20_000));
  world.settle();
  assert.equal(world.take().length, 4);
  world.send({ ack: 1001, window: 3300 });
  assert.deepEqual(world.said(), [], '300 bytes of room are not worth a segment');
  world.send({ ack: 2001, window: 3300 });
  assert.deepEqual(
    world.take().map(({ text: { length } }) => length),
    [1000],
  );
});

test('nothing is sent beyond the window, whatever the guest says in which order (RFC 9293 §3.10.7.4, SND.WL1 and WL2)', () => {
  const world = established({ window: 2000, syn: { mss: 1000 } });
  world.server.peer.send(text(20_000));
  world.settle();
  assert.equal(world.take().length, 2);
  world.send({ ack: 2001, window: 1000 });
  assert.equal(world.take().length, 1);
  // An older segment that comes late does not open it.
  world.send({ ack: 1001, window: 9000 });
  assert.deepEqual(world.said(), []);
});

test('when no chunk is left the text is not acknowledged, and a retransmission completes it', () => {
  // One chunk of memory, two flows.
  const world = established({ limits: { windowBytes: 16_384 }, host: SLOW, script: (server) => server.peer.pause() });
  world.take();
  let acknowledged = 1;
  for (let at = 1; at < 65_000; at += 1000) world.sendQuietly({ seq: at, text: text(1000, at - 1) });
  world.settle();
  world.advance(100);
  for (const { ack } of world.take()) acknowledged = Math.max(acknowledged, ack);
  assert.ok(world.counters.get('tcp-chunk-pool-exhausted') > 0 || acknowledged < 40_000);
  world.server.peer.resume();
  world.settle();
  for (let rounds = 0; acknowledged < 60_001 && rounds < 200; rounds++) {
    world.send({ seq: acknowledged, text: text(Math.min(1000, 60_001 - acknowledged), acknowledged - 1) });
    world.advance(20);
    for (const { ack } of world.take()) acknowledged = Math.max(acknowledged, ack);
  }
  assert.equal(acknowledged, 60_001);
  assertSameBytes(world.server.received, text(60_000));
  world.send({ seq: 60_001, flags: 'R' });
  world.assertBaseLine();
});

test('one byte out of order in each of many flows leaves chunks to text in order, and one guest some to the others', () => {
  const world = established();
  const pool = 4 * 2 ** 20;
  world.server.peer.pause();
  for (let i = 0; i < 256; i++) {
    const port = 41_000 + i;
    world.send({ port, flags: 'S', syn: { mss: 1460 } });
    world.send({ port });
    world.send({ port, seq: 3, text: text(1) });
  }
  assert.equal(world.tcp.chunkBytesUsed, (pool * 3) / 4);
});

test('where text out of order has its part of the chunks, text in order that a slow server leaves still finds one', () => {
  const world = established({ host: { limits: { hostSendBytes: 10, peerReceiveBytes: 10 } } });
  const pool = 4 * 2 ** 20;
  for (let port = 41_000; port < 41_192; port++) {
    world.send({ port, flags: 'S', seq: 0, syn: { mss: 1460 } });
    world.send({ port });
    world.send({ port, seq: 3, text: text(1) });
  }
  assert.equal(world.tcp.chunkBytesUsed, (pool * 3) / 4);
  world.neighbor.port = { ...world.neighbor.port, attachment: 'tap1' };
  world.send({ port: 42_000, flags: 'S', seq: 0, syn: { mss: 1460 } });
  world.send({ port: 42_000 });
  world.servers.at(-1)?.peer.pause();
  world.take();
  world.send({ port: 42_000, text: text(100) });
  world.advance(100);
  assert.equal(world.counters.get('tcp-chunk-pool-exhausted'), 0);
  assert.deepEqual(world.said(), ['A 1 101']);
});

test('a guest that comes back has no chunks anew: what it holds still counts', () => {
  const world = established({ host: { limits: { hostSendBytes: 10, peerReceiveBytes: 10 } } });
  const stuck = (port: number): void => {
    world.send({ port, flags: 'S', seq: 0, syn: { mss: 1460 } });
    world.servers.at(-1)?.peer.pause();
    world.send({ port });
    world.send({ port, text: text(100) });
  };
  for (let port = 41_000; port < 41_192; port++) stuck(port);
  assert.equal(world.tcp.chunkBytesUsed, 3 * 2 ** 20);
  world.neighbor.port = { ...world.neighbor.port };
  for (let port = 42_000; port < 42_010; port++) stuck(port);
  assert.equal(world.tcp.chunkBytesUsed, 3 * 2 ** 20);
});

test('with little budget and large segments the window is small but never shut for good', () => {
  const world = established({ limits: { windowBytes: 32_768 }, outlet: { mtu: 65_520 }, syn: { mss: 65_480 } });
  let next = 1;
  for (let i = 0; i < 50; i++) {
    world.send({ seq: next, text: text(1000, next - 1) });
    world.advance(20);
    next = world.take().at(-1)?.ack ?? next;
  }
  assert.equal(next, 50_001);
});

test('a full outlet stops the sender, and room resumes it where it was', () => {
  const world = established({ syn: { mss: 1000 } });
  world.outlet.capacity = 3;
  world.server.peer.send(text(20_000));
  world.settle();
  const sent = world.take();
  assert.equal(sent.length, 3);
  world.outlet.reopen();
  world.settle();
  sent.push(...world.take());
  assertSameBytes(concat(sent.map((segment) => segment.text)), text(20_000));
});

test('an ACK and a FIN that found the outlet full go out when there is room', () => {
  const world = established();
  world.outlet.capacity = 0;
  world.send({ text: text(1460) }, { seq: 1461, text: text(1460) });
  world.server.peer.end();
  world.settle();
  assert.deepEqual(world.said(), []);
  world.outlet.reopen();
  world.settle();
  const said = world.said();
  assert.equal(said.filter((s) => s.startsWith('FA 1 2921')).length, 1);
});

test('an outlet that segments gets super-segments with the MSS as gso size, whole segments but for the last', () => {
  const abilities = { tcpSegmentation: true, checksum: true, maxFrameBytes: 65_550 };
  const world = established({ outlet: { abilities }, syn: { scale: 7, mss: 1460 }, window: 4000 });
  world.server.peer.send(text(200_000));
  world.settle();
  const sent = world.take();
  assertSameBytes(concat(sent.map((segment) => segment.text)), text(200_000));
  assert.equal(sent.length, Math.ceil(200_000 / (44 * 1460)));
  for (const {
    gsoSize,
    text: { length },
  } of sent) {
    assert.equal(gsoSize, 1460);
    assert.ok(length <= 44 * 1460);
  }
  // What is sent again goes one segment at a time.
  world.advance(1100);
  assert.deepEqual(
    world.take().map(({ gsoSize }) => gsoSize),
    [0, 0],
  );
});

test('one flow sends at most its quota in a turn, so others are served (design §2.6)', () => {
  const world = established({
    syn: { scale: 7, mss: 1460 },
    window: 65_535,
    host: { limits: { hostReceiveBytes: 1 << 21 } },
  });
  world.server.peer.send(text(1 << 21));
  world.host.deliver();
  world.turn.run(world.nowMs);
  const first = world.take().reduce((sum, segment) => sum + segment.text.length, 0);
  assert.ok(first <= 540_000, `${first} bytes in one turn`);
  assert.ok(first >= 400_000);
});

test('a guest that shuts its window over what is in flight and still answers is not given up (RFC 9293 §3.8.6.1)', () => {
  const world = established({ window: 4000, syn: { mss: 1000 } });
  world.server.peer.send(text(4000));
  world.settle();
  world.take();
  for (let seconds = 0; seconds < 3600; seconds += 10) {
    world.advance(10_000);
    if (world.take().length > 0) world.send({ window: 0 });
  }
  assert.equal(world.tcp.flowCount, 1);
  world.send({ window: 4000 });
  world.advance(61_000);
  assert.ok(world.take().length > 0);
  world.send({ ack: 4001 });
  assert.equal(world.state, 'ESTABLISHED');
});

test('what the server sends while the guest is off the link goes out when the guest is back', () => {
  const world = established();
  const port = world.neighbor.port as { attached: boolean };
  port.attached = false;
  world.server.peer.send(text(500));
  world.settle();
  world.advance(120_000);
  assert.deepEqual(world.said(), []);
  port.attached = true;
  world.advance(61_000);
  assert.ok(world.said().includes('PA 1 1 +500'));
});

test('a super-segment ends with a whole segment where the window ends in the middle of one (RFC 9293 §3.8.6.2.1)', () => {
  const abilities = { tcpSegmentation: true, checksum: true, maxFrameBytes: 65_550 };
  const world = established({ outlet: { abilities }, syn: { mss: 1460 }, window: 10_000 });
  world.server.peer.send(text(50_000));
  world.settle();
  assert.deepEqual(world.said(), ['PA 1 1 +8760']);
  world.send({ ack: 8761, window: 10_000 });
  assert.deepEqual(world.said(), ['PA 8761 1 +8760']);
});
