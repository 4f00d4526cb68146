import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LOOPBACK4 } from '../../src/env/host.ts';
import type { ServiceRoute } from '../../src/flow/route.ts';
import { readU16, readU32 } from '../../src/wire/bytes.ts';
import { ACK, RST, SYN } from '../../src/wire/tcp.ts';
import { arpFrame, bytesOf, echoRequest, GATEWAY, HOST, ip } from '../support/core-world.ts';
import { ForwardWorld } from '../support/forward-world.ts';
import { mendChecksums, packetFrame, tcpFrame, udpFrame } from '../support/guest-frames.ts';
import { type GuestEnd, NetworkWorld } from '../support/network-world.ts';

const MAC = 0x5a94_ef00_000a;
const GUEST = ip('192.168.65.3');
const DATABASE = ip('192.168.65.10');

class Guest {
  readonly world: NetworkWorld;
  readonly end: GuestEnd;

  constructor(world: NetworkWorld) {
    this.world = world;
    this.end = world.qemu();
    this.say(arpFrame(1, MAC, GUEST, GUEST));
  }

  say(...frames: Uint8Array[]): Uint8Array[] {
    this.end.send(frames);
    this.world.settle();
    return this.end.take();
  }

  /** Flags that a SYN was answered with; 'silence' for none. */
  syn(destination: number, destinationPort: number, sourcePort: number): number | 'silence' {
    const route = { mac: MAC, source: GUEST, destination };
    const [answer] = this.say(tcpFrame(route, { sourcePort, destinationPort, sequence: 1, flags: SYN }));
    return answer === undefined || answer[23] !== 6 ? 'silence' : answer[47]!;
  }

  udp(destination: number, port: number, from: number): Uint8Array[] {
    return this.say(udpFrame({ mac: MAC, source: GUEST, destination }, from, port, bytesOf(20)));
  }
}

function serving(routes: readonly ServiceRoute[], hostLoopback = false): { world: NetworkWorld; guest: Guest } {
  const world = new NetworkWorld({ network: { hostLoopback } });
  world.network.setServices(routes);
  return { world, guest: new Guest(world) };
}

const POSTGRES: ServiceRoute = {
  protocol: 'tcp',
  address: DATABASE,
  port: 5432,
  target: { kind: 'host', address: LOOPBACK4, port: 15_432 },
};

describe('services of the host at addresses of the network', () => {
  it('answer at a virtual address, also where the host’s loopback is closed to guests', () => {
    const { world, guest } = serving([POSTGRES]);
    const arrived = world.listen(LOOPBACK4, 15_432);
    assert.equal(guest.syn(DATABASE, 5432, 40_000), SYN | ACK);
    assert.equal(arrived.length, 1);
    assert.equal(guest.syn(HOST, 15_432, 40_001), 'silence');
    assert.equal(guest.syn(DATABASE, 80, 40_002), RST | ACK);
    assert.equal(world.counters.get('route-no-such-service-port'), 1);
  });

  it('have an address that answers ARP and pings', () => {
    const { guest } = serving([POSTGRES]);
    const [reply] = guest.say(arpFrame(1, MAC, GUEST, DATABASE));
    assert.equal(readU16(reply!, 20), 2);
    assert.equal(readU32(reply!, 28), DATABASE);
    const ping = mendChecksums(packetFrame({ mac: MAC, source: GUEST, destination: DATABASE }, 1, echoRequest(7, 1)));
    assert.equal(guest.say(ping)[0]![34], 0);
  });

  it('are found on [::1], too, at their own port', () => {
    const { world, guest } = serving([POSTGRES]);
    const arrived = world.listen(2 ** 32 + 1, 15_432);
    assert.equal(guest.syn(DATABASE, 5432, 40_000), SYN | ACK);
    assert.equal(arrived.length, 1);
  });

  it('may keep the guest’s port: every port that nobody else has', () => {
    const all: ServiceRoute = { ...POSTGRES, port: 0, target: { kind: 'host', address: ip('10.9.9.9'), port: 0 } };
    const { world, guest } = serving([all, POSTGRES]);
    const there = world.listen(ip('10.9.9.9'), 8_080);
    const here = world.listen(LOOPBACK4, 15_432);
    guest.syn(DATABASE, 8_080, 40_000);
    guest.syn(DATABASE, 5432, 40_001);
    assert.deepEqual([there.length, here.length], [1, 1]);
  });

  it('go before what the gateway serves at a port, and after it where they are for all ports', () => {
    const dns: ServiceRoute = {
      protocol: 'udp',
      address: GATEWAY,
      port: 53,
      target: { kind: 'host', address: LOOPBACK4, port: 5353 },
    };
    const { world, guest } = serving([dns]);
    world.host.listenUdp(LOOPBACK4, 5353, ({ reply }) => reply(bytesOf(9)));
    const [answer] = guest.udp(GATEWAY, 53, 40_000);
    assert.deepEqual([world.questions.length, answer!.length - 42], [0, 9]);
    world.network.setServices([{ ...dns, port: 0 }]);
    guest.udp(GATEWAY, 53, 40_001);
    assert.equal(world.questions.length, 1);
  });

  it('answer UDP as from where the guest sent to, each from its own address', () => {
    const route = (address: number, port: number, to: number): ServiceRoute => ({
      protocol: 'udp',
      address,
      port,
      target: { kind: 'host', address: LOOPBACK4, port: to },
    });
    const other = ip('192.168.65.11');
    const { world, guest } = serving([route(DATABASE, 53, 5301), route(other, 99, 5302)], true);
    for (const port of [5301, 5302, 7]) world.host.listenUdp(LOOPBACK4, port, ({ reply }) => reply(bytesOf(port & 15)));
    const from = [guest.udp(DATABASE, 53, 40_000), guest.udp(other, 99, 40_000), guest.udp(HOST, 7, 40_000)];
    assert.deepEqual(
      from.map(([frame]) => [readU32(frame!, 26), readU16(frame!, 34)]),
      [
        [DATABASE, 53],
        [other, 99],
        [HOST, 7],
      ],
    );
  });

  it('that nobody serves tell the guest so in their own name', () => {
    const { guest } = serving([{ ...POSTGRES, protocol: 'udp' }]);
    const [error] = guest.udp(DATABASE, 5432, 40_000);
    assert.deepEqual([error![23], error![34], error![35]], [1, 3, 3]);
    assert.equal(readU32(error!, 26), DATABASE);
    assert.equal(readU16(error!, 42 + 22), 5432, 'about the port that it sent to');
  });

  it('reach a unix socket with nothing but the stream', () => {
    const socket: ServiceRoute = { ...POSTGRES, target: { kind: 'socket', service: 'socket /run/db.sock' } };
    const { world, guest } = serving([socket, { ...socket, protocol: 'udp' }]);
    const got: Uint8Array[] = [];
    world.host.listenService('socket /run/db.sock', (peer) => {
      peer.send(bytesOf(3));
      return { data: (bytes) => void got.push(bytes) };
    });
    const [synAck] = guest.say(
      tcpFrame(
        { mac: MAC, source: GUEST, destination: DATABASE },
        { sourcePort: 40_000, destinationPort: 5432, sequence: 1, flags: SYN },
      ),
    );
    const acknowledgment = (readU32(synAck!, 38) + 1) >>> 0;
    const facts = { sourcePort: 40_000, destinationPort: 5432, sequence: 2, acknowledgment, flags: ACK };
    guest.say(tcpFrame({ mac: MAC, source: GUEST, destination: DATABASE }, { ...facts, text: bytesOf(5) }));
    assert.deepEqual(Buffer.from(got[0]!), Buffer.from(bytesOf(5)));
    guest.udp(DATABASE, 5432, 40_001);
    assert.equal(world.counters.get('route-socket-without-datagrams'), 1);
  });

  it('that get the address of a guest say so', () => {
    const { world } = serving([]);
    world.network.setServices([{ ...POSTGRES, address: GUEST }]);
    assert.match(world.lines.at(-1)!.message, /^a guest has the address of a service/);
  });

  it('are replaced as a whole; what is open goes on', () => {
    const { world, guest } = serving([POSTGRES]);
    world.listen(LOOPBACK4, 15_432);
    guest.syn(DATABASE, 5432, 40_000);
    world.network.setServices([]);
    assert.equal(world.network.flowCount, 1);
    assert.deepEqual(guest.say(arpFrame(1, MAC, GUEST, DATABASE)), []);
    assert.equal(guest.syn(DATABASE, 5432, 40_001), 'silence');
  });
});

describe('a tunnel', () => {
  const peerOf = (world: ForwardWorld, fd: number, events: string[]): void =>
    world.net.host.clients.offerStream(fd, (peer) => {
      peer.send(bytesOf(4));
      return { reset: (code) => void events.push(code), data: (bytes) => void events.push(`${bytes.length} bytes`) };
    });

  it('joins one end of a pair of sockets to a guest, which sees the gateway', () => {
    const world = new ForwardWorld();
    const guest = world.guest();
    const talks = guest.listen(22);
    const events: string[] = [];
    peerOf(world, 70, events);
    const told: unknown[] = [];
    world.net.network.openGuestStream(70, 0, 22, (failure) => void told.push(failure));
    world.settle();
    assert.deepEqual(told, [undefined]);
    assert.equal(guest.peers[0]!.address, GATEWAY);
    assert.deepEqual(Buffer.from(talks[0]!.received), Buffer.from(bytesOf(4)));
    talks[0]!.say('hello');
    world.settle();
    assert.deepEqual(events, ['5 bytes']);
  });

  it('says why there is none', () => {
    const world = new ForwardWorld();
    const events: string[] = [];
    const told: unknown[] = [];
    const open = (fd: number, address: number): void => {
      peerOf(world, fd, events);
      world.net.network.openGuestStream(fd, address, 22, (failure) => void told.push(failure));
      world.settle();
    };
    open(70, 0);
    const guest = world.guest();
    open(71, 0);
    open(72, ip('192.168.65.99'));
    world.advance(1_100);
    guest.hung = true;
    open(73, GUEST);
    world.advance(10_100);
    world.net.network.openGuestStream(99, 0, 22, (failure) => void told.push(failure));
    assert.deepEqual(told, ['no-guest', 'refused', 'no-guest', 'timeout', 'EINVAL']);
    assert.deepEqual(events, ['ECONNRESET', 'ECONNRESET', 'ECONNRESET', 'ECONNRESET']);
    world.assertNothingHeld();
  });
});

describe('flows', () => {
  it('can be ended one by one', () => {
    const world = new ForwardWorld();
    const guest = world.guest();
    const talks = guest.listen(80);
    world.open();
    const client = world.connect();
    const [flow] = world.net.network.tcpFlows(10);
    const { guestAddress, guestPort, remoteAddress, remotePort } = flow!;
    assert.ok(world.net.network.killTcpFlow(guestAddress, guestPort, remoteAddress, remotePort));
    world.settle();
    assert.deepEqual([client.reset, talks[0]!.reset], ['ECONNRESET', 'ECONNRESET']);
    assert.equal(world.net.network.killTcpFlow(guestAddress, guestPort, remoteAddress, remotePort), false);
    world.assertNothingHeld();
  });
});
