import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DEFAULT_LIMITS } from '../../src/config/limits.ts';
import { PROBE_MS } from '../../src/dhcp/conflict-probes.ts';
import { readMac, readU16, readU32 } from '../../src/wire/bytes.ts';
import { DHCP_ACK, DHCP_OFFER, DHCP_REQUEST } from '../../src/wire/dhcpv4.ts';
import { seqAdd } from '../../src/wire/seqnum.ts';
import { ACK, FIN, PSH, RST, SYN } from '../../src/wire/tcp.ts';
import {
  arpFrame,
  bytesOf,
  echoRequest,
  ethernetFrame,
  GATEWAY,
  GATEWAY_MAC,
  HOST,
  ip,
  OUTSIDE,
} from '../support/core-world.ts';
import {
  dhcpFrame,
  dnsQuestion,
  fragmentsOf,
  mendChecksums,
  packetFrame,
  tcpFrame,
  udpFrame,
} from '../support/guest-frames.ts';
import { type GuestEnd, NetworkWorld } from '../support/network-world.ts';

const MINUTE_MS = 60_000;
const ALICE = { mac: 0x5a94_ef00_000a, address: ip('192.168.65.10') };
const BOB = { mac: 0x5a94_ef00_000b, address: ip('192.168.65.11') };
const CAROL = { mac: 0x5a94_ef00_000c, address: ip('192.168.65.12') };
/** The first of many addresses at which nothing answers. */
const DEAD = ip('198.18.0.1');
type Identity = typeof ALICE;

/** A TCP segment as it came to a guest. */
interface Heard {
  readonly flags: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly text: Uint8Array;
}

/** A guest with an address of its own, which it announces. */
class Guest {
  readonly world: NetworkWorld;
  readonly mac: number;
  readonly address: number;
  end: GuestEnd;

  constructor(world: NetworkWorld, who: Identity) {
    this.world = world;
    this.mac = who.mac;
    this.address = who.address;
    this.end = this.plugIn();
  }

  plugIn(): GuestEnd {
    this.end = this.world.qemu('guest');
    this.say(arpFrame(1, this.mac, this.address, this.address));
    this.end.take();
    return this.end;
  }

  /** Sends frames and waits for all that follows. */
  say(...frames: Uint8Array[]): Uint8Array[] {
    this.end.send(frames);
    this.world.settle();
    return this.end.take();
  }

  to(destination: number): { mac: number; source: number; destination: number } {
    return { mac: this.mac, source: this.address, destination };
  }

  ping(destination: number): Uint8Array[] {
    const echo = mendChecksums(packetFrame(this.to(destination), 1, echoRequest(7, 1)));
    return this.say(echo).filter((frame) => readU16(frame, 12) === 0x0800 && frame[23] === 1);
  }
}

/** A guest's end of one connection, which sends only in order. */
class Conversation {
  readonly guest: Guest;
  readonly remote: number;
  readonly remotePort: number;
  sequence = 0xffff_fff0;
  acknowledgment = 0;
  received: number[] = [];

  constructor(guest: Guest, remote: number, remotePort: number) {
    this.guest = guest;
    this.remote = remote;
    this.remotePort = remotePort;
  }

  /** Sends a segment; returns what came in answer. */
  send(flags: number, text: Uint8Array = new Uint8Array(0)): Heard[] {
    const { sequence, acknowledgment, remotePort } = this;
    const facts = { sourcePort: 40_000, destinationPort: remotePort, sequence, acknowledgment, flags, text };
    this.sequence = seqAdd(sequence, text.length + ((flags & (SYN | FIN)) === 0 ? 0 : 1));
    return this.hear(this.guest.say(tcpFrame(this.guest.to(this.remote), facts)));
  }

  hear(frames: Uint8Array[] = this.guest.end.take()): Heard[] {
    const all = frames.filter((frame) => readU16(frame, 12) === 0x0800 && frame[23] === 6).map(segmentOf);
    for (const { flags, sequence, text } of all) {
      if ((flags & SYN) !== 0) this.acknowledgment = seqAdd(sequence, 1);
      else if (sequence === this.acknowledgment) {
        this.received.push(...text);
        this.acknowledgment = seqAdd(sequence, text.length + ((flags & FIN) === 0 ? 0 : 1));
      }
    }
    return all;
  }

  open(): void {
    assert.deepEqual(
      this.send(SYN).map(({ flags }) => flags),
      [SYN | ACK],
    );
    this.send(ACK);
  }
}

/** One SYN to each address, from a port that only depends on its number. */
function askAll(guest: Guest, addresses: readonly number[], firstPort = 10_000): void {
  const frames = addresses.map((destination, i) =>
    tcpFrame(guest.to(destination), { sourcePort: firstPort + i, destinationPort: 443, sequence: 1, flags: SYN }),
  );
  for (let at = 0; at < frames.length; at += 500) guest.say(...frames.slice(at, at + 500));
}

/** Connections that are established, from as many ports; what acknowledged the SYN-ACK of each. */
function openMany(guest: Guest, count: number, firstPort = 2000): Uint8Array[] {
  const acks: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const route = { mac: guest.mac, source: guest.address, destination: OUTSIDE };
    const facts = { sourcePort: firstPort + i, destinationPort: 80, sequence: 1, flags: SYN };
    const [answer] = guest.say(tcpFrame(route, facts)).filter((frame) => frame[23] === 6);
    if (answer === undefined) continue;
    const acknowledgment = seqAdd(readU32(answer, 38), 1);
    const ack = tcpFrame(route, { ...facts, sequence: 2, acknowledgment, flags: ACK });
    guest.say(ack);
    acks.push(ack);
  }
  return acks;
}

function resetOnes(servers: readonly { readonly reset: string | undefined }[]): number[] {
  return servers.flatMap(({ reset }, i) => (reset === undefined ? [] : [i]));
}

function segmentOf(frame: Uint8Array): Heard {
  const textAt = 34 + (frame[46]! >>> 4) * 4;
  const text = frame.slice(textAt, 14 + readU16(frame, 16));
  return { flags: frame[47]!, sequence: readU32(frame, 38), acknowledgment: readU32(frame, 42), text };
}

function dhcpOf(frames: readonly Uint8Array[]): { type: number; address: number }[] {
  const replies = frames.filter(
    (frame) => readU16(frame, 12) === 0x0800 && frame[23] === 17 && readU16(frame, 36) === 68,
  );
  return replies.map((frame) => ({ type: frame[42 + 240 + 2]!, address: readU32(frame, 42 + 16) }));
}

describe('a whole network', () => {
  it('takes a guest from its lease to a name to a connection', () => {
    const world = new NetworkWorld();
    const servers = world.listen(OUTSIDE, 80);
    const end = world.qemu();
    const { mac } = ALICE;
    end.send([dhcpFrame(mac)]);
    world.settle();
    world.advance(PROBE_MS + 4);
    const [offer] = dhcpOf(end.take());
    assert.deepEqual(offer, { type: DHCP_OFFER, address: ip('192.168.65.3') });
    end.send([dhcpFrame(mac, DHCP_REQUEST, offer.address, GATEWAY)]);
    world.settle();
    assert.deepEqual(dhcpOf(end.take()), [{ type: DHCP_ACK, address: offer.address }]);

    const guest = new Guest(world, { mac, address: offer.address });
    guest.say(udpFrame(guest.to(GATEWAY), 5000, 53, dnsQuestion('example.test')));
    const [question] = world.questions;
    assert.deepEqual(question?.bytes, dnsQuestion('example.test'));
    assert.ok(world.answer(question, bytesOf(40)));
    world.settle();
    const [answer] = guest.end.take();
    assert.deepEqual(Buffer.from(answer!.subarray(42)), Buffer.from(bytesOf(40)));
    assert.equal(readU32(answer!, 26), GATEWAY);

    const talk = new Conversation(guest, OUTSIDE, 80);
    talk.open();
    talk.send(ACK | PSH, bytesOf(100));
    servers[0]!.peer.send(bytesOf(3000, 2));
    world.settle();
    talk.hear();
    assert.deepEqual(Buffer.concat(servers[0]!.chunks), Buffer.from(bytesOf(100)));
    assert.deepEqual(Buffer.from(talk.received), Buffer.from(bytesOf(3000, 2)));
  });

  it('lets guests reach each other, and floods nothing that is known', () => {
    const world = new NetworkWorld();
    const alice = new Guest(world, ALICE);
    const bob = new Guest(world, BOB);
    alice.end.take();
    const frame = ethernetFrame(BOB.mac, ALICE.mac, 0x0800, bytesOf(500));
    const carol = world.qemu('carol', { heard: true });
    alice.say(frame);
    assert.deepEqual(bob.end.take(), [Buffer.from(frame)]);
    assert.deepEqual(carol.take(), []);
    bob.say(ethernetFrame(0xffff_ffff_ffff, BOB.mac, 0x88b5, bytesOf(50)));
    assert.equal(alice.end.take().length, 1);
    assert.equal(carol.take().length, 1);
  });

  it('serves a guest with an address of its own like one with a lease, and leases that address to nobody', () => {
    const world = new NetworkWorld();
    const guest = new Guest(world, { mac: ALICE.mac, address: ip('192.168.65.3') });
    assert.equal(guest.ping(GATEWAY).length, 1);
    const other = world.qemu();
    other.send([dhcpFrame(BOB.mac)]);
    world.settle();
    world.advance(PROBE_MS + 4);
    assert.notEqual(dhcpOf(other.take())[0]?.address, ip('192.168.65.3'));
  });

  it('gives neither the gateway’s MAC nor its address to a guest, and says so once', () => {
    const world = new NetworkWorld();
    const thief = world.qemu('thief');
    const bob = new Guest(world, BOB);
    thief.send([
      arpFrame(2, GATEWAY_MAC, ip('192.168.65.9'), BOB.address),
      arpFrame(2, GATEWAY_MAC, GATEWAY, BOB.address),
    ]);
    thief.send([arpFrame(2, ALICE.mac, GATEWAY, BOB.address), arpFrame(2, ALICE.mac, HOST, BOB.address)]);
    world.settle();
    assert.equal(world.counters.get('switch-gateway-mac-claimed'), 2);
    assert.equal(world.counters.get('arp-gateway-address-claimed'), 2);
    assert.equal(world.lines.filter(({ fields }) => fields?.port === 'thief').length, 2);
    bob.end.take();
    assert.equal(bob.ping(GATEWAY).length, 1, 'the gateway is where it was');
    const [reply] = bob.say(arpFrame(1, BOB.mac, BOB.address, GATEWAY));
    assert.equal(readMac(reply!, 6), GATEWAY_MAC);
  });

  it('stalls no guest because another does not read', () => {
    const world = new NetworkWorld();
    const servers = world.listen(OUTSIDE, 80);
    const slow = new Conversation(new Guest(world, ALICE), OUTSIDE, 80);
    const quick = new Conversation(new Guest(world, BOB), OUTSIDE, 80);
    slow.open();
    quick.open();
    slow.guest.end.makeRoom(0);
    const page = bytesOf(400_000);
    for (const server of servers) server.peer.send(page);
    for (let turns = 0; turns < 100 && quick.received.length < page.length; turns++) {
      world.advance(20);
      quick.hear();
      quick.send(ACK);
    }
    assert.equal(quick.received.length, page.length);
    assert.equal(quick.guest.ping(GATEWAY).length, 1);
    assert.equal(slow.guest.end.take().length, 0);

    slow.guest.end.makeRoom(Number.POSITIVE_INFINITY);
    for (let turns = 0; turns < 400 && slow.received.length < page.length; turns++) {
      world.advance(200);
      slow.hear();
      slow.send(ACK);
    }
    assert.deepEqual(Buffer.from(slow.received), Buffer.from(page), 'and the slow one has all of it in the end');
  });

  it('reaches the host’s own services at the host address only where that is open', () => {
    for (const hostLoopback of [true, false]) {
      const world = new NetworkWorld({ network: { hostLoopback } });
      world.listen(ip('127.0.0.1'), 80);
      const guest = new Guest(world, ALICE);
      const talk = new Conversation(guest, HOST, 80);
      if (hostLoopback) {
        talk.open();
        continue;
      }
      const facts = { sourcePort: 40_000, destinationPort: 80, sequence: 1, flags: SYN };
      const [refusal] = guest.say(tcpFrame(guest.to(HOST), facts));
      assert.deepEqual([refusal?.[23], refusal?.[34], refusal?.[35]], [1, 3, 13], 'administratively prohibited');
      assert.equal(world.gauges['tcp-flows'], 0);
    }
  });

  it('never lets a guest speak to the host’s loopback network, nor from addresses that are not its own', () => {
    const world = new NetworkWorld();
    world.listen(ip('127.0.0.1'), 0);
    const guest = new Guest(world, ALICE);
    const facts = { sourcePort: 40_000, destinationPort: 80, sequence: 1, flags: SYN };
    guest.say(tcpFrame(guest.to(ip('127.0.0.1')), facts));
    guest.say(tcpFrame({ mac: guest.mac, source: OUTSIDE, destination: HOST }, facts));
    guest.say(tcpFrame({ mac: guest.mac, source: ip('127.0.0.1'), destination: HOST }, facts));
    guest.say(tcpFrame({ mac: guest.mac, source: GATEWAY, destination: HOST }, facts));
    const words = [
      'ipv4-martian-destination',
      'ipv4-spoofed-source',
      'ipv4-martian-source',
      'ipv4-gateway-address-claimed',
    ];
    assert.deepEqual(
      words.map((word) => world.counters.get(word)),
      [1, 1, 1, 1],
    );
    assert.equal(world.counters.get('tcp-dials'), 0);
  });
});

describe('a guest that leaves', () => {
  it('finds its flows again when it returns, with what came meanwhile', () => {
    const world = new NetworkWorld();
    const servers = world.listen(OUTSIDE, 80);
    const guest = new Guest(world, ALICE);
    const talk = new Conversation(guest, OUTSIDE, 80);
    talk.open();
    guest.end.hangUp();
    world.settle();
    servers[0]!.peer.send(bytesOf(5000));
    world.advance(3 * MINUTE_MS);
    assert.equal(world.gauges['tcp-flows'], 1);

    guest.plugIn();
    world.advance(2000);
    talk.hear();
    assert.deepEqual(Buffer.from(talk.received), Buffer.from(bytesOf(5000)), 'without a word of the guest');
    talk.send(ACK | PSH, bytesOf(10));
    assert.deepEqual(Buffer.concat(servers[0]!.chunks), Buffer.from(bytesOf(10)));
  });

  it('gets again at once what was on its way when it left', () => {
    const world = new NetworkWorld();
    const servers = world.listen(OUTSIDE, 80);
    const guest = new Guest(world, ALICE);
    const talk = new Conversation(guest, OUTSIDE, 80);
    talk.open();
    servers[0]!.peer.send(bytesOf(5000));
    world.settle();
    guest.end.hangUp();
    world.advance(4 * MINUTE_MS);
    guest.plugIn();
    for (let turns = 0; turns < 10; turns++) {
      world.advance(200);
      talk.hear();
      talk.send(ACK);
    }
    assert.deepEqual(Buffer.from(talk.received), Buffer.from(bytesOf(5000)));
  });

  it('and never returns holds no host socket after ten minutes', () => {
    const world = new NetworkWorld();
    const servers = world.listen(OUTSIDE, 80);
    const guest = new Guest(world, ALICE);
    const stays = new Conversation(new Guest(world, BOB), OUTSIDE, 80);
    new Conversation(guest, OUTSIDE, 80).open();
    stays.open();
    guest.say(udpFrame(guest.to(OUTSIDE), 5000, 9, bytesOf(10)));
    guest.end.hangUp();
    world.advance(9 * MINUTE_MS);
    assert.equal(servers[0]!.reset, undefined);
    world.advance(2 * MINUTE_MS);
    assert.equal(servers[0]!.reset, 'ECONNRESET');
    assert.equal(world.counters.get('tcp-guest-gone'), 1);
    assert.deepEqual(
      [world.gauges['tcp-flows'], world.gauges['udp-mappings']],
      [1, 0],
      'the other guest keeps its own',
    );
    assert.equal(servers[1]!.reset, undefined);
  });

  it('in all but the link, as a VM does that is reset, is asked about its idle flows when DHCP gives it an address', () => {
    const world = new NetworkWorld();
    const servers = world.listen(OUTSIDE, 80);
    const guest = new Guest(world, ALICE);
    const talk = new Conversation(guest, OUTSIDE, 80);
    talk.open();
    new Conversation(new Guest(world, BOB), OUTSIDE, 80).open();
    world.advance(MINUTE_MS);
    guest.say(dhcpFrame(ALICE.mac));
    world.advance(PROBE_MS + 4);
    guest.say(dhcpFrame(ALICE.mac, DHCP_REQUEST, ALICE.address, GATEWAY));
    world.advance(PROBE_MS + 1100);
    const probes = talk.hear().filter(({ flags, text }) => flags === ACK && text.length === 0);
    assert.equal(probes.length, 1);
    talk.send(RST, new Uint8Array(0));
    assert.deepEqual([servers[0]!.reset, servers[1]!.reset], ['ECONNRESET', undefined]);
  });

  it('leaves its place to the next', () => {
    const world = new NetworkWorld({ network: { limits: { guests: 1, flows: 8, dialsInFlight: 8, udpMappings: 8 } } });
    const first = new Guest(world, ALICE);
    assert.equal(world.qemu('second').attached, undefined);
    assert.equal(world.counters.get('attachment-refused-limit'), 1);
    first.end.hangUp();
    world.settle();
    assert.notEqual(world.qemu('third').attached, undefined);
  });
});

describe('one guest among many', () => {
  it('that holds connections and never sends a frame gives its places up to those who come, the longest first', () => {
    const world = new NetworkWorld({ network: { limits: { guests: 4, flows: 8, dialsInFlight: 8, udpMappings: 8 } } });
    world.listen(ip('127.0.0.1'), 80);
    const alice = new Guest(world, ALICE);
    const idle = Array.from({ length: 3 }, (_, i) => world.qemu(`idle ${i}`));
    const bob = new Guest(world, BOB);
    assert.deepEqual(
      idle.map(({ pipe }) => pipe.closed),
      [true, false, false],
    );
    for (let i = 0; i < 20; i++) world.qemu('more');
    for (const guest of [alice, bob]) {
      assert.equal(guest.end.pipe.closed, false, 'who has spoken stays');
      new Conversation(guest, HOST, 80).open();
    }
    assert.equal(world.counters.get('attachment-evicted-silent'), 21);
    assert.equal(world.counters.get('attachment-refused-limit'), 0);
  });

  it('leaves an eighth of the dials to others, whatever addresses it speaks from', () => {
    const world = new NetworkWorld();
    world.host.blackHole(OUTSIDE);
    world.listen(ip('127.0.0.1'), 80);
    const greedy = new Guest(world, ALICE);
    const frames = Array.from({ length: 100 }, (_, i) => {
      const source = ip('192.168.65.100') + (i % 50);
      const facts = { sourcePort: 2000 + i, destinationPort: 80, sequence: 1, flags: SYN };
      return tcpFrame({ mac: greedy.mac, source, destination: OUTSIDE }, facts);
    });
    greedy.say(...frames);
    assert.equal(world.gauges['tcp-dials-in-flight'], 28);
    new Conversation(new Guest(world, BOB), HOST, 80).open();
  });

  it('that asks 5,000 dead targets, again and again, is answered by a live one at once, and so are others', () => {
    const limits = {
      guests: 6,
      flows: DEFAULT_LIMITS.flows,
      dialsInFlight: DEFAULT_LIMITS.dialsInFlight,
      udpMappings: 32,
    };
    const world = new NetworkWorld({ network: { limits } });
    const dead = Array.from({ length: 5000 }, (_, i) => DEAD + i);
    for (const address of dead) world.host.blackHole(address);
    world.listen(OUTSIDE, 0);
    const monitor = new Guest(world, ALICE);
    const neighbor = new Guest(world, BOB);
    let port = 0;
    for (const pause of [0, 1000, 2000, 4000, 8000]) {
      world.advance(pause);
      askAll(monitor, dead);
      new Conversation(monitor, OUTSIDE, ++port).open();
      new Conversation(neighbor, OUTSIDE, ++port).open();
    }
    assert.equal(world.gauges['tcp-dials-in-flight'], 5000);
    assert.equal(world.counters.get('tcp-dial-evicted'), 0);
  });

  it('that asks more dead targets than there are dials gives up those for which it no longer waits', () => {
    const world = new NetworkWorld();
    const dead = Array.from({ length: 200 }, (_, i) => DEAD + i);
    for (const address of dead) world.host.blackHole(address);
    world.listen(OUTSIDE, 0);
    const monitor = new Guest(world, ALICE);
    askAll(monitor, dead.slice(0, 100));
    const neighbor = new Guest(world, BOB);
    new Conversation(neighbor, OUTSIDE, 1).open();
    world.advance(1000);
    new Conversation(monitor, OUTSIDE, 2).open();
    assert.equal(world.counters.get('tcp-dial-evicted'), 1);
    for (let port = 3; port < 30; port++) {
      world.advance(1000);
      askAll(monitor, dead.slice(100));
      new Conversation(neighbor, OUTSIDE, port).open();
    }
  });

  it('that comes back again and again leaves the dials to others all the same', () => {
    const world = new NetworkWorld();
    world.host.blackHole(DEAD);
    world.listen(OUTSIDE, 0);
    const restless = new Guest(world, ALICE);
    for (let round = 0; round < 4; round++) {
      askAll(
        restless,
        Array.from({ length: 40 }, () => DEAD),
        1000 * (round + 1),
      );
      restless.end.hangUp();
      world.settle();
      restless.plugIn();
    }
    assert.ok(world.gauges['tcp-dials-in-flight']! <= 28);
    new Conversation(new Guest(world, BOB), OUTSIDE, 80).open();
    world.advance(1000);
    new Conversation(restless, OUTSIDE, 80).open();
  });

  it('leaves some flows to the others, whatever addresses it speaks from', () => {
    const world = new NetworkWorld();
    const servers = world.listen(OUTSIDE, 80);
    const greedy = new Guest(world, ALICE);
    for (let i = 0; i < 100; i++) {
      const source = ip('192.168.65.100') + (i % 50);
      const facts = { sourcePort: 2000 + i, destinationPort: 80, sequence: 1, flags: SYN };
      greedy.say(tcpFrame({ mac: greedy.mac, source, destination: OUTSIDE }, facts));
    }
    assert.equal(servers.length, 60);
    assert.equal(world.counters.get('tcp-flow-limit-of-guest'), 40);
    new Conversation(new Guest(world, BOB), OUTSIDE, 80).open();
    greedy.end.hangUp();
    world.advance(11 * MINUTE_MS);
    new Conversation(new Guest(world, ALICE), OUTSIDE, 80).open();
  });

  it('gives up the flow that it has not spoken on for longest to one that has fewer, when all are taken', () => {
    const world = new NetworkWorld();
    const servers = world.listen(OUTSIDE, 0);
    const greedy = new Guest(world, ALICE);
    const [firstAck] = openMany(greedy, 60);
    openMany(new Guest(world, BOB), 4);
    assert.equal(world.gauges['tcp-flows'], 64);
    world.advance(10);
    greedy.say(firstAck!);
    new Conversation(new Guest(world, CAROL), OUTSIDE, 81).open();
    assert.equal(world.counters.get('tcp-flow-evicted'), 1);
    assert.deepEqual(resetOnes(servers), [1], 'the first one was heard of since');
    openMany(greedy, 1, 9000);
    assert.equal(resetOnes(servers).length, 1, 'its own are not given up for another of its own');
    assert.equal(world.counters.get('tcp-flow-limit'), 1);
  });

  it('that left gives up its flows to one that has fewer, and finds its share of them at its return', () => {
    const world = new NetworkWorld();
    const servers = world.listen(OUTSIDE, 0);
    const busy = new Guest(world, BOB);
    const absent = new Guest(world, ALICE);
    openMany(absent, 40);
    absent.end.hangUp();
    world.settle();
    openMany(busy, 34);
    assert.equal(world.gauges['tcp-flows'], 64);
    assert.equal(world.counters.get('tcp-flow-evicted'), 8);
    assert.equal(resetOnes(servers.slice(0, 40)).length, 8);
    assert.equal(resetOnes(servers).length, 8, 'none of the guest that is here');
  });

  it('pushes out no mapping and no fragment of another, whatever addresses it speaks from', () => {
    const world = new NetworkWorld();
    world.host.listenUdp(OUTSIDE, 7, (arrival) => arrival.reply(arrival.bytes));
    const modest = new Guest(world, BOB);
    const greedy = new Guest(world, ALICE);
    modest.say(udpFrame(modest.to(OUTSIDE), 5000, 7, bytesOf(10)));
    const [first, last] = fragmentsOf(udpFrame(modest.to(OUTSIDE), 5000, 7, bytesOf(2000)), 1480, 1);
    modest.say(first!);
    for (let i = 0; i < 200; i++) {
      const route = { mac: greedy.mac, source: ip('192.168.65.100') + (i % 50), destination: OUTSIDE };
      greedy.say(
        udpFrame(route, 6000 + i, 7, bytesOf(10)),
        fragmentsOf(udpFrame(route, 1, 7, bytesOf(2000)), 1480, i)[0]!,
      );
    }
    assert.deepEqual([world.gauges['udp-mappings'], world.gauges.reassemblies], [9, 65]);
    assert.equal(world.counters.get('udp-evicted-guest-limit'), 192);
    assert.equal(modest.say(last!).length, 2, 'the echo of the whole datagram, in two fragments');
  });

  it('is refused as the peer refuses', () => {
    const world = new NetworkWorld();
    world.host.failDial(OUTSIDE, 81, 'EHOSTUNREACH');
    world.host.blackHole(OUTSIDE, 82);
    const guest = new Guest(world, ALICE);
    const refused = new Conversation(guest, OUTSIDE, 80).send(SYN);
    assert.deepEqual(
      refused.map(({ flags }) => flags),
      [RST | ACK],
    );
    const facts = { sourcePort: 40_000, destinationPort: 81, sequence: 1, flags: SYN };
    const [unreachable] = guest.say(tcpFrame(guest.to(OUTSIDE), facts));
    assert.deepEqual([unreachable?.[23], unreachable?.[34], unreachable?.[35]], [1, 3, 1]);
    assert.deepEqual(new Conversation(guest, OUTSIDE, 82).send(SYN), []);
  });
});
