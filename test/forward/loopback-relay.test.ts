import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LOOPBACK4 } from '../../src/env/host.ts';
import { ip } from '../support/core-world.ts';
import { Conversation, FIRST_GUEST_ADDRESS, ForwardWorld } from '../support/forward-world.ts';
import { KnownSockets } from '../support/known-sockets.ts';
import { assertSameBytes } from '../support/tcp-peer.ts';

/** A forward to a program that listens at the loopback of the only guest, and that program's connections. */
function published(facts: Parameters<ForwardWorld['open']>[0] = {}): {
  world: ForwardWorld;
  sockets: KnownSockets;
  talks: Conversation[];
} {
  const world = new ForwardWorld();
  const sockets = new KnownSockets();
  const talks: Conversation[] = [];
  world.net.host.listenTcp(LOOPBACK4, 80, (peer) => {
    const talk = new Conversation();
    talks.push(talk);
    return talk.accept(peer);
  });
  sockets.dial = (port, handler) => world.net.host.dial(LOOPBACK4, port, 0, handler);
  sockets.set(80, 'loopback');
  world.guest(FIRST_GUEST_ADDRESS, true, { sockets });
  world.open(facts);
  return { world, sockets, talks };
}

describe('a forward to who listens at the guest’s loopback only', () => {
  it('joins a client from within the guest, both ways, without a packet of the guest’s network', () => {
    const { world, talks } = published();
    const client = world.connect();
    client.say('GET /');
    world.settle();
    assert.equal(talks[0]!.text, 'GET /');
    talks[0]!.say('hello');
    world.settle();
    assert.equal(client.text, 'hello');
    assert.equal(world.report?.connections, 1);
  });

  it('is one of the flows, which can be killed', () => {
    const { world, talks } = published();
    const [client, other] = [world.connect(), world.connect({ port: 50_001 })];
    client.say('GET /');
    world.settle();
    talks[0]!.say('hello, client');
    world.settle();
    const flow = {
      guestAddress: FIRST_GUEST_ADDRESS,
      guestPort: 80,
      remoteAddress: ip('10.1.2.3'),
      remotePort: 50_000,
    };
    const { network } = world.net;
    const shown = { ...flow, openedBy: 'host', state: 'LOOPBACK', bytesFromGuest: 13, bytesToGuest: 5 };
    assert.deepEqual(network.tcpFlows(1), [shown]);
    assert.equal(network.tcpFlows(5).length, 2);
    const { guestAddress, guestPort, remoteAddress, remotePort } = flow;
    assert.equal(network.killTcpFlow(guestAddress, guestPort, remoteAddress, remotePort), true);
    world.settle();
    assert.deepEqual([client.reset, talks[0]!.reset, other.reset], ['ECONNRESET', 'ECONNRESET', undefined]);
    assert.equal(network.killTcpFlow(guestAddress, guestPort, remoteAddress, remotePort), false);
    assert.equal(network.tcpFlows(5).length, 1);
  });

  it('passes half-closes both ways and is over with the second', () => {
    const { world, talks } = published();
    const client = world.connect();
    client.say('question');
    client.peer!.end();
    world.settle();
    assert.deepEqual([talks[0]!.text, talks[0]!.ended], ['question', true]);
    talks[0]!.say('answer');
    world.settle();
    assert.deepEqual([client.text, client.ended], ['answer', false]);
    talks[0]!.peer!.end();
    world.settle();
    assert.equal(client.ended, true);
    assert.equal(world.report?.connections, 0);
    world.assertNothingHeld();
  });

  it('passes a client’s reset on', () => {
    const { world, talks } = published();
    const client = world.connect();
    client.say('half a quest');
    world.settle();
    client.peer!.reset();
    world.settle();
    assert.equal(talks[0]!.reset, 'ECONNRESET');
    assert.equal(world.report?.connections, 0);
    world.assertNothingHeld();
  });

  it('passes the program’s reset on', () => {
    const { world, talks } = published();
    const client = world.connect();
    client.say('question');
    world.settle();
    talks[0]!.peer!.reset();
    world.settle();
    assert.equal(client.reset, 'ECONNRESET');
    assert.equal(world.report?.connections, 0);
    world.assertNothingHeld();
  });

  it('moves megabytes both ways, whole and in order', () => {
    const { world, talks } = published();
    const bytes = Uint8Array.from({ length: 3 * 2 ** 20 }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
    const client = world.connect();
    client.say(bytes);
    world.settle();
    talks[0]!.say(bytes);
    world.settle();
    assertSameBytes(talks[0]!.received, bytes);
    assertSameBytes(client.received, bytes);
  });

  it('lets a client wait for a socket of the guest’s, and takes it when there is one', () => {
    const { world, sockets, talks } = published();
    const { dial } = sockets;
    let retry = (): void => {};
    sockets.dial = (_port, _handler, again) => {
      retry = again;
      return undefined;
    };
    const client = world.connect();
    client.say('early');
    world.settle();
    assert.equal(talks.length, 0);
    sockets.dial = dial;
    retry();
    world.settle();
    assert.equal(talks[0]!.text, 'early');
  });

  it('forgets a client that left while it waited for a socket', () => {
    const { world, sockets } = published();
    let retry = (): void => {};
    sockets.dial = (_port, _handler, again) => {
      retry = again;
      return undefined;
    };
    const client = world.connect();
    client.peer!.reset();
    world.settle();
    sockets.dial = () => assert.fail('nobody waits any more');
    retry();
    assert.equal(world.report?.connections, 0);
    world.assertNothingHeld();
  });

  it('resets a client whose program has just gone', () => {
    const { world, sockets } = published();
    sockets.dial = () => 'ECONNREFUSED';
    const client = world.connect();
    world.settle();
    assert.equal(client.reset, 'ECONNRESET');
    world.assertNothingHeld();
  });

  it('begins with the PROXY header where the forward has one', () => {
    const { world, talks } = published({ proxy: 'v1' });
    const client = world.connect();
    client.say('after');
    world.settle();
    assert.match(talks[0]!.text, /^PROXY TCP4 [^\r]*\r\nafter$/);
  });

  it('ends open connections with the forward when that is asked for', () => {
    const { world, talks } = published();
    const client = world.connect();
    client.say('x');
    world.settle();
    world.net.network.closeForward(1, true);
    world.settle();
    assert.equal(client.reset, 'ECONNRESET');
    assert.equal(talks[0]!.reset, 'ECONNRESET');
    world.assertNothingHeld();
  });
});
