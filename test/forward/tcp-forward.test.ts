import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LOOPBACK4, LOOPBACK6 } from '../../src/env/host.ts';
import type { ForwardReport } from '../../src/forward/forward-request.ts';
import { GATEWAY, HOST, ip } from '../support/core-world.ts';
import { type Conversation, FIRST_GUEST_ADDRESS, ForwardWorld } from '../support/forward-world.ts';
import { KnownSockets } from '../support/known-sockets.ts';
import { assertSameBytes, text } from '../support/tcp-peer.ts';

const MINUTE_MS = 60_000;

/** A forward to a program of the only guest, and that program's connections. */
function published(facts: Parameters<ForwardWorld['open']>[0] = {}): {
  world: ForwardWorld;
  guest: ReturnType<ForwardWorld['guest']>;
  talks: Conversation[];
} {
  const world = new ForwardWorld();
  const guest = world.guest();
  const talks = guest.listen(80);
  const answer = world.open(facts);
  assert.equal((answer.outcome as ForwardReport).state, 'up');
  return { world, guest, talks };
}

describe('a TCP forward', () => {
  it('joins a client to the guest, both ways', () => {
    const { world, talks } = published();
    const client = world.connect();
    client.say('GET /');
    world.settle();
    assert.equal(talks.length, 1);
    assert.equal(talks[0]!.text, 'GET /');
    talks[0]!.say('hello');
    world.settle();
    assert.equal(client.text, 'hello');
    assert.equal(world.report?.connections, 1);
    assert.equal(world.net.network.tcpFlows(5)[0]?.openedBy, 'host');
  });

  it('says in debug logs who was connected in what time, and who was not and why', () => {
    const world = new ForwardWorld({}, { debug: true });
    const guest = world.guest();
    guest.listen(80);
    world.open();
    world.open({ id: 2, guestPort: 81, sockets: { kind: 'descriptors', fds: [51], index: [0] } });
    world.connect().peer!.reset();
    world.connect({ address: LOOPBACK6, port: 50_001 }, { fd: 51 });
    world.settle();
    const lines = world.net.lines.filter(({ message }) => /^client/.test(message));
    assert.deepEqual(lines, [
      { message: 'client connected', fields: { client: '10.1.2.3:50000', to: '192.168.65.3:80', ms: 0 } },
      {
        message: 'client not connected',
        fields: { client: '[::1]:50001', to: '192.168.65.3:81', ms: 0, why: 'refused' },
      },
    ]);
  });

  it('passes half-closes both ways', () => {
    const { world, talks } = published();
    const client = world.connect();
    client.say('question');
    client.peer!.end();
    world.settle();
    assert.equal(talks[0]!.ended, true);
    talks[0]!.say('answer');
    world.settle();
    assert.deepEqual([client.text, client.ended], ['answer', false]);
    talks[0]!.peer!.end();
    world.settle();
    assert.equal(client.ended, true);
    world.advance(2 * MINUTE_MS);
    assert.equal(world.report?.connections, 0);
    world.assertNothingHeld();
  });

  it('passes resets both ways', () => {
    const { world, talks } = published();
    const first = world.connect();
    first.peer!.reset();
    world.settle();
    assert.equal(talks[0]!.reset, 'ECONNRESET');
    const second = world.connect({ port: 50_001 });
    talks[1]!.peer!.reset();
    world.settle();
    assert.equal(second.reset, 'ECONNRESET');
    world.assertNothingHeld();
  });

  it('shows the guest the client’s own address where answers to it come back this way', () => {
    const { world, guest } = published();
    const seen = (address: number, port = 50_000): [number, number] => {
      const client = world.connect({ address, port });
      const peer = guest.peers.at(-1)!;
      client.peer!.reset();
      world.settle();
      return [peer.address, peer.port];
    };
    assert.deepEqual(seen(ip('10.1.2.3')), [ip('10.1.2.3'), 50_000]);
    assert.deepEqual(seen(ip('203.0.113.9'), 7), [ip('203.0.113.9'), 7]);
    for (const address of [LOOPBACK4, ip('127.3.0.1'), LOOPBACK6, -1, ip('192.168.65.77'), ip('0.0.0.9')]) {
      assert.deepEqual(seen(address), [HOST, 50_000]);
    }
    for (const address of ['169.254.7.7', '224.0.0.9', '240.0.0.1'])
      assert.deepEqual(seen(ip(address)), [HOST, 50_000]);
    // A unix socket's client has no port.
    const [address, port] = seen(-1, 0);
    assert.equal(address, HOST);
    assert.ok(port >= 32_768);
  });

  it('shows the gateway where that is asked for', () => {
    const { world, guest } = published({ source: 'gateway' });
    world.connect({ port: 50_000 });
    world.connect({ port: 53 });
    assert.deepEqual(
      guest.peers.slice(-2).map(({ address }) => address),
      [GATEWAY, GATEWAY],
    );
    assert.equal(guest.peers.at(-2)!.port, 50_000);
    assert.ok(guest.peers.at(-1)!.port >= 32_768, 'a low port is the gateway’s own');
  });

  it('gives two clients that would look alike two ports', () => {
    const { world, guest, talks } = published();
    world.connect({ address: LOOPBACK4, port: 50_000 });
    world.connect({ address: LOOPBACK6, port: 50_000 });
    assert.equal(talks.length, 2);
    const [first, second] = guest.peers.slice(-2);
    assert.deepEqual([first!.address, second!.address], [HOST, HOST]);
    assert.equal(first!.port, 50_000);
    assert.notEqual(second!.port, 50_000);
  });

  it('finds the guest in TIME-WAIT without waiting when a client uses its port again', () => {
    const { world, talks } = published();
    for (let i = 0; i < 3; i++) {
      const client = world.connect();
      talks[i]!.peer!.end();
      world.settle();
      client.peer!.end();
      world.settle();
      assert.equal(talks.length, i + 1);
      world.advance(10);
    }
  });

  it('writes PROXY v1 and v2 ahead of the client’s bytes, however small the guest’s window', () => {
    const client = { address: ip('10.1.2.3'), port: 50_000, local: ip('10.0.0.1'), localPort: 8080 };
    const v1 = published({ proxy: 'v1' });
    v1.world.connect(client).say('GET /');
    v1.world.settle();
    assert.equal(v1.talks[0]!.text, 'PROXY TCP4 10.1.2.3 10.0.0.1 50000 8080\r\nGET /');
    const v2 = published({ proxy: 'v2' });
    const second = v2.world.connect(client);
    second.say('GET /');
    second.peer!.end();
    v2.world.settle();
    assert.deepEqual(
      [...v2.talks[0]!.received],
      [
        ...Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'),
        0x21,
        0x11,
        0,
        12,
        10,
        1,
        2,
        3,
        10,
        0,
        0,
        1,
        195,
        80,
        31,
        144,
      ].concat([...Buffer.from('GET /')]),
    );
    assert.equal(v2.talks[0]!.ended, true);
  });

  it('says TCP6 for clients of IPv6 and UNKNOWN for unix sockets', () => {
    const { world, talks } = published({ proxy: 'v1' });
    const bytes = Uint8Array.from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
    world.connect({ address: -1, port: 50_000, bytes, localPort: 80 });
    assert.match(talks[0]!.text, /^PROXY TCP6 2001:db8:0:0:0:0:0:5 \S+ 50000 80\r\n$/);
    world.connect({ address: -1, port: 0 });
    assert.equal(talks[1]!.text, 'PROXY UNKNOWN\r\n');
  });

  it('loses no byte over a bad link', () => {
    const { world, guest, talks } = published();
    guest.faults = { loss: 0.05, duplication: 0, reordering: 0.05 };
    const up = text(300_000, 1);
    const down = text(300_000, 2);
    const client = world.connect();
    for (let i = 0; i < 100 && talks.length === 0; i++) world.advance(200);
    client.say(up);
    talks[0]!.say(down);
    client.peer!.end();
    talks[0]!.peer!.end();
    for (let i = 0; i < 1000 && !(client.ended && talks[0]!.ended); i++) world.advance(200);
    assertSameBytes(talks[0]!.received, up);
    assertSameBytes(client.received, down);
    guest.faults = undefined;
    world.advance(5 * MINUTE_MS);
    world.assertNothingHeld();
  });

  it('waits as long as it takes for a guest’s program that does not read', () => {
    const { world, talks } = published();
    const client = world.connect();
    talks[0]!.peer!.pause();
    const sent = text(3_000_000);
    client.say(sent);
    world.advance(30 * MINUTE_MS);
    assert.equal(client.reset, undefined);
    assert.ok(talks[0]!.received.length < sent.length);
    talks[0]!.peer!.resume();
    world.advance(2 * MINUTE_MS);
    assertSameBytes(talks[0]!.received, sent);
  });
});

describe('a guest whose sockets nothing sees', () => {
  it('that refuses a client costs that client alone a reset, and a service that starts is served at once', () => {
    const world = new ForwardWorld();
    const guest = world.guest();
    const answer = world.open();
    assert.deepEqual(answer.outcome, {
      id: 1,
      state: 'up',
      why: '',
      guestAddress: FIRST_GUEST_ADDRESS,
      guestListens: 'unseen',
      connections: 0,
      note: '',
    });
    for (let port = 50_000; port < 50_010; port++) assert.equal(world.connect({ port }).reset, 'ECONNRESET');
    const talks = guest.listen(80);
    const client = world.connect();
    assert.deepEqual([client.reset, talks.length], [undefined, 1]);
    assert.deepEqual(world.changes, []);
    assert.equal(world.isListening, true);
  });

  it('is sent nothing while no client comes, closed as its ports may be', () => {
    const world = new ForwardWorld();
    const guest = world.guest();
    for (let i = 0; i < 1_000; i++) {
      world.open({ id: i + 1, guestPort: 1_000 + i, sockets: { kind: 'descriptors', fds: [1_000 + i], index: [0] } });
    }
    const before = world.net.network.traffic['guest-frames-sent'];
    world.advance(10_000);
    assert.equal(guest.peers.length, 0);
    assert.equal(world.net.network.traffic['guest-frames-sent'], before);
  });

  for (const rejects of ['by ICMP', 'by RST'] as const) {
    it(`that rejects one client ${rejects} serves the others, every time`, () => {
      const { world, guest, talks } = published();
      const banned = ip('10.1.2.9');
      guest.firewall = (source) => (source === banned ? 'reject' : 'accept');
      if (rejects === 'by RST') {
        guest.firewall = undefined;
        world.open({ id: 2, guestPort: 81, sockets: { kind: 'descriptors', fds: [51], index: [0] } });
      }
      for (let i = 0; i < 50; i++) {
        const to = rejects === 'by RST' ? { fd: 51 } : { fd: 50 };
        assert.equal(world.connect({ address: banned, port: 40_000 + i }, to).reset, 'ECONNRESET');
        assert.equal(world.connect({ address: ip('10.1.2.3'), port: 40_000 + i }).reset, undefined);
        world.advance(10);
      }
      assert.equal(talks.length, 50);
    });
  }

  it('whose firewall admits one address only serves that client, with nobody having asked from the gateway', () => {
    const { world, guest, talks } = published();
    guest.firewall = (source) => (source === ip('10.1.2.3') ? 'accept' : 'drop');
    const other = world.connect({ address: ip('10.1.2.9') });
    world.advance(5_000);
    assert.equal(other.reset, undefined, 'it waits, as a client next to the guest would');
    assert.equal(world.connect({ address: ip('10.1.2.3') }).reset, undefined);
    assert.equal(talks.length, 1);
    assert.equal(world.report?.state, 'up');
  });

  it('with a rate limit refuses beyond it, and serves again when it is over', () => {
    const { world, guest, talks } = published();
    let left = 6;
    guest.firewall = () => (left-- > 0 ? 'accept' : 'reject');
    const clients = Array.from({ length: 10 }, (_, i) => world.connect({ port: 50_000 + i }));
    assert.equal(clients.filter(({ reset }) => reset === 'ECONNRESET').length, 4);
    world.advance(30_000);
    left = 1;
    assert.equal(world.connect({ port: 50_020 }).reset, undefined);
    assert.equal(talks.length, 7);
  });

  it('that stalls for four seconds makes its clients wait, and serves them then', () => {
    const { world, guest, talks } = published();
    guest.hung = true;
    const clients = Array.from({ length: 10 }, (_, i) => {
      world.advance(400);
      return world.connect({ port: 50_000 + i });
    });
    for (const client of clients) client.say('patience');
    assert.equal(world.isListening, true);
    guest.hung = false;
    world.advance(8_000);
    assert.deepEqual(
      clients.map(({ reset }) => reset),
      clients.map(() => undefined),
    );
    assert.equal(talks.length, 10);
    assert.ok(talks.every((talk) => talk.text === 'patience'));
  });

  it('that hangs for good lets a client go when a host’s own connect would be', () => {
    const { world, guest } = published();
    guest.hung = true;
    const client = world.connect();
    world.advance(2 * MINUTE_MS);
    assert.equal(client.reset, undefined);
    world.advance(12_000);
    assert.equal(client.reset, 'ECONNRESET');
    assert.equal(world.report?.state, 'up');
  });

  it('and that drops one client’s SYNs does not let that client take the places of others', () => {
    const { world, guest, talks } = published();
    guest.firewall = (source) => (source === ip('203.0.113.9') ? 'drop' : 'accept');
    for (let i = 0; i < 200; i++) world.connect({ address: ip('203.0.113.9'), port: 10_000 + i });
    assert.equal(world.connect().reset, undefined);
    assert.equal(talks.length, 1);
    assert.ok(world.counters.get('forward-waiting-evicted') >= 100);
  });

  it('what its firewall says of open connections is not believed', () => {
    const { world, guest, talks } = published();
    const open = world.connect();
    guest.firewall = () => 'reject';
    assert.equal(world.connect({ port: 50_001 }).reset, 'ECONNRESET');
    open.say('still here');
    world.settle();
    assert.equal(talks[0]!.text, 'still here');
  });
});

describe('a guest whose socket table is seen', () => {
  const seen = (
    network: ConstructorParameters<typeof ForwardWorld>[0] = {},
  ): { world: ForwardWorld; guest: ReturnType<ForwardWorld['guest']>; sockets: KnownSockets } => {
    const world = new ForwardWorld(network);
    const sockets = new KnownSockets();
    return { world, sockets, guest: world.guest(FIRST_GUEST_ADDRESS, true, { sockets }) };
  };

  it('makes the port refuse while nobody listens, and serve in the same turn as somebody does', () => {
    const { world, guest, sockets } = seen();
    const { outcome } = world.open();
    assert.deepEqual(outcome, {
      id: 1,
      state: 'down',
      why: 'nobody listens at 192.168.65.3:80',
      guestAddress: FIRST_GUEST_ADDRESS,
      guestListens: 'no',
      connections: 0,
      note: '',
    });
    assert.equal(world.connect().reset, 'ECONNREFUSED');
    const talks = guest.listen(80);
    sockets.set(80, 'listens');
    world.settle();
    assert.equal(world.connect().reset, undefined);
    assert.equal(talks.length, 1);
    sockets.set(80, 'nobody');
    assert.equal(world.isListening, false);
    assert.deepEqual(
      world.changes.map(({ state, guestListens }) => [state, guestListens]),
      [
        ['up', 'yes'],
        ['down', 'no'],
      ],
    );
  });

  it('that cannot be seen just now is asked for each client', () => {
    const { world, guest, sockets } = seen();
    sockets.others = 'unknown';
    const talks = guest.listen(80);
    world.open();
    world.connect();
    assert.equal(talks.length, 1);
  });

  it('in a range keeps the row open while one of its ports is, and refuses the others without a packet', () => {
    const { world, guest, sockets } = seen();
    const fds = [60, 61, 62];
    world.open({ guestPort: 8_000, sockets: { kind: 'descriptors', fds, index: [0, 1, 2] } });
    assert.equal(world.report?.why, 'nobody listens at 192.168.65.3:8000-8002');
    const talks = guest.listen(8_001);
    sockets.set(8_001, 'listens');
    world.settle();
    assert.equal(world.connect({}, { fd: 60 }).reset, 'ECONNRESET');
    assert.equal(guest.peers.length, 0);
    world.connect({ port: 50_001 }, { fd: 61 });
    assert.equal(talks.length, 1);
  });

  it('serves a client that waits as soon as somebody listens', () => {
    const { world, guest, sockets } = seen();
    world.open({ waitMs: 30_000 });
    const client = world.connect();
    client.say('hello');
    world.advance(10_000);
    assert.equal(guest.peers.length, 0);
    const talks = guest.listen(80);
    sockets.set(80, 'listens');
    world.settle();
    assert.equal(talks[0]?.text, 'hello');
  });

  it('serves two hundred clients that wait sixteen at a time, as soon as somebody listens or the guest comes', () => {
    for (const comes of [false, true]) {
      const limits = { guests: 6, flows: 1_000, dialsInFlight: 32, udpMappings: 32 };
      const { world, guest, sockets } = seen({ limits });
      world.open({ waitMs: 60_000 });
      if (comes) guest.end.hangUp();
      world.settle();
      const clients = Array.from({ length: 200 }, (_, i) => world.connect({ port: 50_000 + i }));
      const talks = guest.listen(80);
      const began = guest.peers.length;
      if (comes) {
        const others = new KnownSockets();
        others.set(80, 'listens');
        guest.end = world.net.qemu('back', { sockets: others });
        guest.announce();
      } else sockets.set(80, 'listens');
      const most: number[] = [];
      for (let seen = began; talks.length < clients.length && most.length < 100; seen = guest.peers.length) {
        world.settle();
        most.push(guest.peers.length - seen);
        world.net.nowMs += 4;
      }
      assert.ok(most.length <= 20 && Math.max(...most) <= 16, `${talks.length}: ${most.join(' ')}`);
      assert.equal(world.net.gauges['forward-waiting'], 0);
    }
  });

  it('is watched no longer than it is published, and where it is now', () => {
    const { world, guest, sockets } = seen();
    world.open();
    assert.equal(sockets.watchers.size, 1);
    guest.end.hangUp();
    world.settle();
    assert.equal(sockets.watchers.size, 0);
    const others = new KnownSockets();
    guest.end = world.net.qemu('back', { sockets: others });
    guest.announce();
    assert.deepEqual([sockets.watchers.size, others.watchers.size], [0, 1]);
    world.net.network.closeForward(1, false);
    assert.equal(others.watchers.size, 0);
  });
});

describe('a guest that is not there', () => {
  it('is said', () => {
    const world = new ForwardWorld();
    const none = world.open({ guestAddress: 0 });
    assert.equal((none.outcome as ForwardReport).why, 'no guest is there');
    assert.equal((none.outcome as ForwardReport).guestListens, 'no');
    assert.equal(world.connect().reset, 'ECONNREFUSED');
    world.guest(ip('192.168.65.9'));
    const wrong = world.open({ id: 2, sockets: { kind: 'descriptors', fds: [51], index: [0] } });
    world.advance(300);
    assert.equal((wrong.outcome as ForwardReport).why, '192.168.65.3 is being asked for');
    world.advance(800);
    assert.equal(world.net.network.forwards()[1]?.why, 'no guest has 192.168.65.3');
  });

  it('is found the moment it speaks', () => {
    const world = new ForwardWorld();
    world.open();
    assert.equal(world.report?.why, 'no guest has 192.168.65.3');
    const other = world.guest(ip('192.168.65.9'));
    world.advance(500);
    const guest = world.guest(FIRST_GUEST_ADDRESS, false);
    guest.listen(80);
    world.advance(1_100);
    assert.equal(world.isListening, false);
    guest.announce();
    assert.equal(world.isListening, true);
    assert.equal(other.peers.length, 0);
  });

  it('is sent nothing before it has sent its first frame, and that is said', () => {
    const world = new ForwardWorld();
    world.open();
    world.open({ id: 2, protocol: 'udp', sockets: { kind: 'descriptors', fds: [51], index: [0] } });
    world.open({ id: 3, guestAddress: 0, waitMs: 60_000, sockets: { kind: 'descriptors', fds: [52], index: [0] } });
    const guest = world.guest(FIRST_GUEST_ADDRESS, false);
    const other = world.guest(ip('192.168.65.9'));
    world.connect({}, { fd: 52 });
    other.announce();
    world.advance(20_000);
    assert.deepEqual(guest.end.take(), []);
    assert.equal(world.connect().reset, 'ECONNREFUSED');
    const [first] = world.net.network.forwards();
    assert.equal(first?.why, 'no guest has 192.168.65.3; one is attached that has not sent anything yet');
    guest.announce();
    assert.equal(world.isListening, true);
  });

  it('behind a tap, which counts as heard, is asked for in the turn in which it comes', () => {
    const world = new ForwardWorld();
    world.open();
    world.advance(60_000);
    const tap = world.net.tap();
    world.net.settle();
    const [asked, ...more] = tap.take();
    assert.ok(asked !== undefined && more.length === 0);
    // RFC 826: who has 192.168.65.3?
    const frame = Buffer.from(asked);
    assert.deepEqual([frame.readUInt16BE(12), frame.readUInt16BE(20)], [0x0806, 1]);
    assert.equal(frame.readUInt32BE(38), FIRST_GUEST_ADDRESS);
  });

  it('but takes the address without a word is found by ARP, with 20 questions a second for a thousand such', () => {
    const world = new ForwardWorld();
    const guest = world.guest(ip('192.168.65.9'));
    const frames = (): number => world.net.network.traffic['guest-frames-sent']!;
    world.open();
    for (let i = 0; i < 200; i++) {
      const sockets = { kind: 'descriptors', fds: [1_000 + i], index: [0] } as const;
      world.open({ id: 10 + i, guestAddress: ip('192.168.65.20') + i, sockets });
    }
    world.advance(2_000);
    const before = frames();
    world.advance(5_000);
    assert.ok(frames() - before <= 101, `${frames() - before} questions`);
    Object.assign(guest, { address: FIRST_GUEST_ADDRESS });
    world.advance(12_000);
    assert.equal(world.isListening, true);
  });

  it('any more since the network began anew is asked for by ARP', () => {
    const heard = { heard: true };
    const world = new ForwardWorld();
    const guest = world.guest(FIRST_GUEST_ADDRESS, false, heard);
    const talks = guest.listen(80);
    const answer = world.open();
    assert.equal((answer.outcome as ForwardReport).state, 'up');
    world.connect();
    assert.equal(talks.length, 1);
    // The first guest is asked for where the first lease would be, and where leases are reserved.
    for (const address of [FIRST_GUEST_ADDRESS, ip('192.168.65.77')]) {
      const other = new ForwardWorld();
      if (address !== FIRST_GUEST_ADDRESS) other.net.network.reserveLease(1, address);
      const silent = other.guest(address, false, heard).listen(80);
      assert.equal((other.open({ guestAddress: 0 }).outcome as ForwardReport).state, 'up');
      other.connect();
      assert.equal(silent.length, 1);
    }
  });
});

describe('a forward without an address', () => {
  it('stays with its guest when one with a lower address joins, until that one leaves', () => {
    const world = new ForwardWorld();
    const second = world.guest(ip('192.168.65.7'));
    const talks = second.listen(80);
    world.open({ guestAddress: 0 });
    assert.equal(world.net.network.forwards()[0]?.guestAddress, ip('192.168.65.7'));
    const first = world.guest(FIRST_GUEST_ADDRESS);
    const others = first.listen(80);
    world.advance(5_000);
    world.connect();
    assert.deepEqual([talks.length, others.length], [1, 0]);
    assert.equal(world.changes.length, 0);
    second.end.hangUp();
    world.settle();
    world.connect({ port: 50_001 });
    assert.equal(others.length, 1);
    assert.equal(world.changes.at(-1)?.guestAddress, FIRST_GUEST_ADDRESS);
  });

  it('goes on with the guest that it had before the network began anew', () => {
    const heard = { heard: true };
    const world = new ForwardWorld();
    world.guest(FIRST_GUEST_ADDRESS, false, heard);
    const talks = world.guest(ip('192.168.65.7'), false, heard).listen(80);
    world.open({ guestAddress: 0, firstGuest: ip('192.168.65.7') });
    world.connect();
    assert.equal(talks.length, 1);
    assert.equal(world.report?.guestAddress, ip('192.168.65.7'));
  });

  it('takes another when the guest that it had does not come back', () => {
    const world = new ForwardWorld();
    const talks = world.guest(FIRST_GUEST_ADDRESS, false, { heard: true }).listen(80);
    world.open({ guestAddress: 0, firstGuest: ip('192.168.65.7') });
    world.advance(1_100);
    world.connect();
    assert.equal(talks.length, 1);
  });
});

describe('a client whose network the guest takes for its own', () => {
  const DOCKER = ip('172.17.0.5');
  const inDocker = (address: number): boolean => address >>> 16 === 0xac11;

  it('is served from the host address after one unanswered SYN, and its neighbors at once', () => {
    const { world, guest, talks } = published();
    guest.firewall = (source) => (inDocker(source) ? 'drop' : 'accept');
    const client = world.connect({ address: DOCKER });
    client.say('hello');
    world.advance(1_400);
    assert.equal(talks[0]?.text, 'hello');
    assert.equal(guest.peers.at(-1)?.address, HOST);
    world.connect({ address: DOCKER + 1, port: 50_001 });
    assert.equal(talks.length, 2);
    assert.equal(world.counters.get('forward-source-hidden'), 1);
    assert.match(
      world.report?.note ?? '',
      /^the guest does not answer clients of 172\.17\.0\.0\/24 .* 192\.168\.65\.254$/,
    );
    world.connect({ address: ip('10.1.2.3'), port: 50_002 });
    assert.equal(guest.peers.at(-1)?.address, ip('10.1.2.3'), 'others keep theirs');
  });

  it('has its own address again some minutes later, when the guest answers it', () => {
    const { world, guest, talks } = published();
    guest.firewall = (source) => (inDocker(source) ? 'drop' : 'accept');
    world.connect({ address: DOCKER });
    world.advance(1_400);
    guest.firewall = undefined;
    world.advance(11 * MINUTE_MS);
    world.connect({ address: DOCKER, port: 50_001 });
    assert.equal(guest.peers.at(-1)?.address, DOCKER);
    assert.equal(talks.length, 2);
  });

  it('is not one that was answered before: a ban or a rate limit is not got round', () => {
    const { world, guest, talks } = published();
    world.connect({ address: DOCKER });
    guest.firewall = (source) => (inDocker(source) ? 'drop' : 'accept');
    const banned = world.connect({ address: DOCKER, port: 50_001 });
    world.advance(20_000);
    assert.deepEqual([talks.length, banned.reset], [1, undefined]);
    assert.ok(guest.peers.every(({ address }) => address === DOCKER));
  });

  it('is not one of a public network, nor one whose SYNs are dropped at that port alone, nor of a guest that stalls', () => {
    for (const [address, verdict] of [
      [ip('203.0.113.9'), 'drop'],
      [DOCKER, 'port'],
      [DOCKER, 'stall'],
    ] as const) {
      const { world, guest, talks } = published();
      guest.firewall = (source, port) =>
        source === address && (verdict === 'drop' || (verdict === 'port' && port === 80)) ? 'drop' : 'accept';
      guest.hung = verdict === 'stall';
      world.connect({ address });
      world.advance(4_000);
      assert.equal(talks.length, 0);
      assert.equal(world.counters.get('forward-source-hidden'), 0);
      guest.hung = false;
    }
  });
});

describe('a guest that leaves', () => {
  it('that leaves the link makes the port refuse; when it is back its connections go on', () => {
    const { world, guest, talks } = published();
    const client = world.connect();
    guest.end.hangUp();
    world.settle();
    assert.equal(world.isListening, false);
    assert.equal(world.report?.why, 'no guest has 192.168.65.3');
    client.say('while you were out');
    world.advance(5 * MINUTE_MS);
    assert.equal(client.reset, undefined);
    guest.end = world.net.qemu('back');
    guest.announce();
    world.advance(3_000);
    assert.equal(world.report?.state, 'up');
    assert.equal(talks[0]!.text, 'while you were out');
  });

  it('that comes back as another machine, or from a reboot, is asked at once whether it knows an idle connection', () => {
    const { world, guest } = published();
    const client = world.connect();
    guest.end.hangUp();
    world.settle();
    world.guest().listen(80);
    world.advance(3_000);
    assert.equal(client.reset, 'ECONNRESET');
    assert.equal(world.report?.state, 'up');
  });

  it('that leaves for good takes its connections with it after ten minutes', () => {
    const { world, guest } = published();
    const client = world.connect();
    guest.end.hangUp();
    world.advance(11 * MINUTE_MS);
    assert.equal(client.reset, 'ECONNRESET');
    world.assertNothingHeld();
  });

  it('without a word is found by keepalive, while an idle connection of a living one lasts', () => {
    const { world, guest, talks } = published();
    const client = world.connect();
    world.advance(3 * 60 * MINUTE_MS);
    assert.deepEqual([client.reset, client.ended], [undefined, false]);
    talks[0]!.say('still here');
    world.settle();
    assert.equal(client.text, 'still here');
    guest.hung = true;
    world.advance(15 * MINUTE_MS);
    assert.equal(client.reset, 'ECONNRESET');
  });
});

describe('a client that waits', () => {
  it('waits its whole time, however long the network slept before it came', () => {
    const world = new ForwardWorld();
    const guest = world.guest();
    world.open({ waitMs: 5_000 });
    guest.hung = true;
    world.advance(2_000);
    world.net.nowMs += 60_000;
    const client = world.connectQuietly();
    world.net.host.deliver();
    world.settle();
    world.advance(4_900);
    assert.equal(client.reset, undefined);
    world.advance(200);
    assert.equal(client.reset, 'ECONNRESET');
  });

  it('is held while the guest refuses and served when it listens', () => {
    const world = new ForwardWorld();
    const guest = world.guest();
    world.open({ waitMs: 30_000 });
    assert.equal(world.isListening, true);
    const client = world.connect();
    client.say('hello');
    world.advance(10_000);
    assert.deepEqual([client.reset, world.net.gauges['forward-waiting']], [undefined, 1]);
    const talks = guest.listen(80);
    world.advance(2_100);
    assert.equal(talks[0]?.text, 'hello');
    assert.equal(world.net.gauges['forward-waiting'], 0);
  });

  it('is reset when its time is over, whether the guest refuses, hangs or is not there', () => {
    const world = new ForwardWorld();
    const guest = world.guest();
    world.open({ waitMs: 5_000 });
    const refused = world.connect();
    guest.hung = true;
    const hung = world.connect({ port: 50_001 });
    world.advance(4_900);
    assert.deepEqual([refused.reset, hung.reset], [undefined, undefined]);
    world.advance(200);
    assert.deepEqual([refused.reset, hung.reset], ['ECONNRESET', 'ECONNRESET']);
    guest.end.hangUp();
    world.settle();
    const alone = world.connect({ port: 50_002 });
    world.advance(4_900);
    assert.equal(alone.reset, undefined);
    world.advance(200);
    assert.equal(alone.reset, 'ECONNRESET');
    world.assertNothingHeld();
  });

  it('may leave: nothing is held for it', () => {
    const world = new ForwardWorld();
    world.guest();
    world.open({ waitMs: 30_000 });
    const client = world.connect();
    client.peer!.reset();
    world.settle();
    assert.equal(world.counters.get('forward-client-left'), 1);
    world.assertNothingHeld();
  });

  it('in a range is tried for itself', () => {
    const world = new ForwardWorld();
    const guest = world.guest();
    const sockets = { kind: 'descriptors', fds: [50, 51], index: [0, 1] } as const;
    world.open({ waitMs: 30_000, sockets });
    const first = world.connect({}, { fd: 50 });
    const second = world.connect({ port: 50_001 }, { fd: 51 });
    const talks = guest.listen(81);
    world.advance(3_000);
    assert.equal(talks.length, 1);
    second.say('81');
    world.settle();
    assert.equal(talks[0]!.text, '81');
    assert.equal(first.reset, undefined);
    world.advance(30_000);
    assert.equal(first.reset, 'ECONNRESET');
  });
});

describe('a range', () => {
  it('keeps the places of its ports, and a port that refuses costs the others nothing', () => {
    const world = new ForwardWorld();
    const guest = world.guest();
    const talks = guest.listen(8_001);
    const fds = [60, 61, 62];
    world.open({ guestPort: 8_000, sockets: { kind: 'descriptors', fds, index: [0, 1, 2] } });
    assert.equal(world.connect({}, { fd: 60 }).reset, 'ECONNRESET');
    world.connect({ port: 50_001 }, { fd: 61 });
    assert.equal(talks.length, 1);
    assert.equal(world.report?.state, 'up');
  });
});

describe('the end of a forward', () => {
  it('lets connections live, unless asked otherwise', () => {
    const { world, talks } = published();
    const client = world.connect();
    world.net.network.closeForward(1, false);
    talks[0]!.say('on');
    world.settle();
    assert.equal(client.text, 'on');
    assert.equal(world.net.host.clients.held, 0);
    world.open({ id: 2 });
    const second = world.connect({ port: 50_001 });
    world.net.network.closeForward(2, true);
    world.settle();
    assert.deepEqual([client.reset, second.reset], [undefined, 'ECONNRESET']);
    assert.equal(world.net.network.closeForward(2, true), false);
  });

  it('turns away who waits', () => {
    const world = new ForwardWorld();
    world.guest();
    world.open({ waitMs: 30_000 });
    const client = world.connect();
    world.net.network.closeForward(1, false);
    world.settle();
    assert.equal(client.reset, 'ECONNRESET');
    world.assertNothingHeld();
  });

  it('comes with the network’s, for clients, waiting ones and sockets', () => {
    const { world, guest } = published();
    const joined = world.connect();
    world.open({ id: 2, guestPort: 81, waitMs: 1000, sockets: { kind: 'descriptors', fds: [51], index: [0] } });
    const waiting = world.connect({}, { fd: 51 });
    guest.hung = true;
    world.net.network.abort();
    world.settle();
    assert.deepEqual([joined.reset, waiting.reset], ['ECONNRESET', 'ECONNRESET']);
    assert.equal(world.net.host.clients.held, 0);
    world.assertNothingHeld();
  });
});

describe('bounds', () => {
  it('a flow that finds no room costs its client a reset, and a counter', () => {
    const limits = { guests: 6, flows: 16, dialsInFlight: 8, udpMappings: 8 };
    const world = new ForwardWorld({ limits });
    const guest = world.guest();
    guest.listen(80);
    world.open();
    const clients = Array.from({ length: 20 }, (_, i) => world.connect({ port: 50_000 + i }));
    const turnedAway = clients.filter(({ reset }) => reset === 'ECONNRESET').length;
    assert.ok(turnedAway >= 4);
    assert.equal(world.counters.get('forward-no-flow'), turnedAway);
    assert.equal(world.isListening, true);
    assert.equal(world.report?.connections, 20 - turnedAway);
  });

  it('10,000 open connections work', () => {
    const limits = { guests: 6, flows: 16_384, dialsInFlight: 512, udpMappings: 8 };
    const world = new ForwardWorld({ limits });
    const talks = world.guest().listen(80);
    world.open();
    const clients: Conversation[] = [];
    for (let i = 0; i < 10_000; i++) {
      clients.push(
        world.connectQuietly({ address: ip('10.0.0.1') + Math.floor(i / 5_000), port: 20_000 + (i % 5_000) }),
      );
      if (i % 500 === 499) world.settle();
    }
    assert.equal(talks.length, 10_000);
    assert.equal(world.report?.connections, 10_000);
    for (const i of [0, 4_999, 9_999]) {
      clients[i]!.say(`client ${i}`);
      world.settle();
      assert.equal(talks[i]!.text, `client ${i}`);
    }
    world.net.network.closeForward(1, true);
    world.settle();
    assert.equal(clients.filter(({ reset }) => reset === 'ECONNRESET').length, 10_000);
    world.assertNothingHeld();
  });

  it('a host that refuses the sockets is told', () => {
    const world = new ForwardWorld();
    world.guest();
    world.net.host.clients.failListen({ fd: 50 }, 'EADDRINUSE');
    assert.equal(world.open().outcome, 'EADDRINUSE');
    assert.deepEqual(world.net.network.forwards(), []);
  });
});
