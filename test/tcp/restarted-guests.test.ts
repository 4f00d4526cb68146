import assert from 'node:assert/strict';
import { test } from 'node:test';
import { established, finWait2, synReceived, text } from '../support/tcp-peer.ts';

test('a VM that was reset and begins anew is asked about an idle flow that it opened, and its RST reaches the server', () => {
  const world = established();
  world.advance(60_000);
  world.tcp.guestStarted(world.neighbor.port);
  world.advance(1_100);
  const [probe] = world.take();
  assert.deepEqual([probe?.flags, probe?.seq, probe?.ack], ['A', 0, 1]);
  world.send({ flags: 'R', seq: probe!.ack });
  assert.equal(world.server.reset, 'ECONNRESET');
  world.assertBaseLine();
});

test('a guest that lives though its DHCP client began anew keeps its flows, and is left alone again for two hours', () => {
  const world = established();
  world.tcp.guestStarted(world.neighbor.port);
  world.advance(1_100);
  assert.deepEqual(world.said(), ['A 0 1']);
  world.send({});
  world.advance(7_190_000);
  assert.deepEqual(world.said(), []);
  assert.equal(world.state, 'ESTABLISHED');
  assert.equal(world.server.reset, undefined);
});

test('a guest that cannot answer yet is asked again after 75 s, and one that never answers is given up', () => {
  const world = established();
  world.tcp.guestStarted(world.neighbor.port);
  world.advance(1_100);
  assert.deepEqual(world.said(), ['A 0 1']);
  world.advance(75_000);
  assert.deepEqual(world.said(), ['A 0 1']);
  world.advance(9 * 75_000);
  assert.equal(world.server.reset, 'ECONNRESET');
  world.assertBaseLine();
});

test('the flows of other guests, half-open ones and those with something in flight are not asked', () => {
  const another = established();
  another.tcp.guestStarted({ ...another.neighbor.port });
  const busy = established();
  busy.server.peer.send(text(100));
  busy.settle();
  busy.take();
  busy.tcp.guestStarted(busy.neighbor.port);
  const halfOpen = synReceived();
  halfOpen.tcp.guestStarted(halfOpen.neighbor.port);
  for (const [world, again] of [
    [another, []],
    [busy, ['PA 1 1 +100']],
    [halfOpen, ['SA 0 1']],
  ] as const) {
    world.advance(1_100);
    assert.deepEqual(world.said().slice(0, 1), again);
  }
});

test('a half-closed flow that is asked goes on waiting as before', () => {
  const world = finWait2();
  world.tcp.guestStarted(world.neighbor.port);
  world.advance(1_100);
  assert.deepEqual(world.said(), ['A 1 1']);
  world.send({ ack: 2 });
  assert.equal(world.state, 'FIN-WAIT-2');
});

test('a guest that begins anew in a loop is asked once in ten seconds, 256 flows at a time', () => {
  const world = established();
  const flows = 600;
  for (let port = 41_001; port < 41_000 + flows; port++) {
    world.send({ port, flags: 'S', seq: 0, syn: { mss: 1460 } });
    world.send({ port });
  }
  world.take();
  let asked = 0;
  let most = 0;
  for (let ms = 0; ms < 30_000; ms += 4) {
    world.tcp.guestStarted(world.neighbor.port);
    world.nowMs += 4;
    world.turn.run(world.nowMs);
    const probes = world.take().length;
    asked += probes;
    most = Math.max(most, probes);
  }
  assert.equal(asked, 3 * flows);
  assert.ok(most <= 256, `${most} in one turn`);
});
