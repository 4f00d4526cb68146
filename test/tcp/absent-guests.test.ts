import assert from 'node:assert/strict';
import { test } from 'node:test';
import { established, synReceived, TcpWorld, text } from '../support/tcp-peer.ts';

function leave(world: TcpWorld): void {
  const port = world.neighbor.port as { attached: boolean };
  port.attached = false;
  world.tcp.guestLeft(world.neighbor.port);
}

function comeBack(world: TcpWorld): void {
  const port = world.neighbor.port as { attached: boolean };
  port.attached = true;
}

test('what is unacknowledged or came while the guest was away goes out soon after it is back', () => {
  const world = established();
  world.server.peer.send(text(100));
  world.settle();
  assert.deepEqual(world.said(), ['PA 1 1 +100']);
  leave(world);
  world.advance(200_000);
  world.server.peer.send(text(100, 100));
  world.advance(200_000);
  assert.deepEqual(world.said(), []);
  comeBack(world);
  world.advance(2000);
  const said = world.said();
  assert.ok(said.includes('PA 1 1 +100') && said.includes('PA 101 1 +100'), said.join(' | '));
  world.send({ ack: 201 });
  assert.equal(world.state, 'ESTABLISHED');
});

test('an idle flow survives a short absence: the guest is asked whether it knows it, and does', () => {
  const world = established();
  leave(world);
  world.advance(300_000);
  comeBack(world);
  world.advance(2000);
  assert.deepEqual(world.said(), ['A 0 1']);
  world.send({});
  world.send({ text: text(10) });
  assert.equal(world.server.received.length, 10);
});

test('a guest that crashed and came back knows nothing of an idle flow: its server is reset', () => {
  const world = established();
  leave(world);
  world.advance(30_000);
  comeBack(world);
  world.advance(2000);
  const [probe] = world.take();
  world.send({ flags: 'R', seq: probe!.ack });
  assert.equal(world.server.reset, 'ECONNRESET');
  world.assertBaseLine();
});

test('after ten minutes the flows of a guest that does not return end, and their servers are reset', () => {
  for (const world of [established(), synReceived()]) {
    leave(world);
    world.advance(610_000);
    assert.equal(world.server.reset, 'ECONNRESET');
    world.assertBaseLine();
  }
  const dialing = new TcpWorld();
  dialing.host.blackHole(0xcb007107);
  dialing.send({ flags: 'S', seq: 0, syn: {} });
  leave(dialing);
  dialing.advance(610_000);
  dialing.assertBaseLine();
});

test('a handshake that the absence interrupted goes on at the return', () => {
  const world = new TcpWorld();
  world.listen();
  world.sendQuietly({ flags: 'S', seq: 0, syn: {} });
  leave(world);
  world.settle();
  world.advance(20_000);
  assert.deepEqual(world.said(), []);
  comeBack(world);
  world.advance(1100);
  assert.ok(world.said().includes('SA 0 1'));
});

for (const [what, absentMs] of [
  ['returns is asked about', 30_000],
  ['does not return gives up', 610_000],
] as const) {
  test(`a guest that ${what} 256 flows in a turn, and all within a second`, () => {
    const world = established();
    const flows = 600;
    for (let port = 41_001; port < 41_000 + flows; port++) {
      world.send({ port, flags: 'S', seq: 0, syn: { mss: 1460 } });
      world.send({ port });
    }
    world.take();
    leave(world);
    if (absentMs < 600_000) {
      world.advance(absentMs);
      comeBack(world);
    } else world.advance(absentMs - 11_000);
    let acted = 0;
    let most = 0;
    for (let ms = 0; ms < 3_000; ms += 4) {
      const { flowCount } = world.tcp;
      world.nowMs += 4;
      world.turn.run(world.nowMs);
      world.host.deliver();
      const now = world.take().filter(({ flags }) => flags === 'A').length + flowCount - world.tcp.flowCount;
      acted += now;
      most = Math.max(most, now);
    }
    assert.deepEqual([acted, most], [flows, 256]);
  });
}
