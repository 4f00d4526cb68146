import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LOOPBACK4, LOOPBACK6 } from '../../src/env/host.ts';
import type { MemoryClientOrigin } from '../../src/host/memory/memory-listeners.ts';
import { bytesOf, GATEWAY, HOST, ip } from '../support/core-world.ts';
import { FIRST_GUEST_ADDRESS, type ForwardGuest, ForwardWorld } from '../support/forward-world.ts';
import { fragmentsOf, udpFrame } from '../support/guest-frames.ts';
import { assertSameBytes, concat } from '../support/tcp-peer.ts';

/** A UDP client of the host, with what it was answered. */
class Client {
  readonly answers: Uint8Array[] = [];
  readonly #world: ForwardWorld;
  readonly #client: { send(bytes: Uint8Array): void };

  constructor(world: ForwardWorld, from: Partial<MemoryClientOrigin> = {}, fd = 50) {
    this.#world = world;
    const origin = { address: ip('10.1.2.3'), port: 50_000, ...from };
    this.#client = world.net.host.clients.openUdp({ fd }, origin, (bytes) => void this.answers.push(bytes));
  }

  send(bytes: Uint8Array): void {
    this.#client.send(bytes);
    this.#world.settle();
  }
}

function published(facts: Parameters<ForwardWorld['open']>[0] = {}): { world: ForwardWorld; guest: ForwardGuest } {
  const world = new ForwardWorld();
  const guest = world.guest();
  const answer = world.open({ protocol: 'udp', guestPort: 53, ...facts });
  assert.equal((answer.outcome as { state: string }).state, 'up');
  return { world, guest };
}

/** The guest answers its oldest datagram that it has not answered. */
function answer(guest: ForwardGuest, bytes: Uint8Array): void {
  const asked = guest.datagrams.shift()!;
  guest.sendUdp(asked.port, asked.source, asked.sourcePort, bytes);
}

describe('a UDP forward', () => {
  it('takes datagrams to the guest and its answers back to who asked', () => {
    const { world, guest } = published();
    const one = new Client(world);
    const two = new Client(world, { port: 50_001 });
    one.send(bytesOf(40, 1));
    two.send(bytesOf(50, 2));
    assert.deepEqual(
      guest.datagrams.map(({ source, sourcePort, port, bytes }) => [source, sourcePort, port, bytes.length]),
      [
        [ip('10.1.2.3'), 50_000, 53, 40],
        [ip('10.1.2.3'), 50_001, 53, 50],
      ],
    );
    answer(guest, bytesOf(60, 3));
    answer(guest, bytesOf(70, 4));
    assert.deepEqual([one.answers.map(({ length }) => length), two.answers.map(({ length }) => length)], [[60], [70]]);
    assertSameBytes(one.answers[0]!, bytesOf(60, 3));
    assert.equal(world.report?.connections, 2);
  });

  it('shows clients as a TCP forward does', () => {
    const { world, guest } = published();
    for (const address of [LOOPBACK4, LOOPBACK6, ip('192.168.65.200')]) new Client(world, { address }).send(bytesOf(4));
    assert.deepEqual(
      guest.datagrams.map(({ source }) => source),
      [HOST, HOST, HOST],
    );
    assert.equal(new Set(guest.datagrams.map(({ sourcePort }) => sourcePort)).size, 3, 'and tells them apart');
    const behind = published({ source: 'gateway' });
    new Client(behind.world, { port: 53 }).send(bytesOf(4));
    const [seen] = behind.guest.datagrams;
    assert.equal(seen!.source, GATEWAY);
    assert.ok(seen!.sourcePort >= 32_768);
  });

  it('keeps the places of a range', () => {
    const sockets = { kind: 'descriptors', fds: [50, 51], index: [0, 1] } as const;
    const { world, guest } = published({ guestPort: 7_000, sockets });
    const client = new Client(world, {}, 51);
    client.send(bytesOf(4));
    assert.equal(guest.datagrams[0]!.port, 7_001);
    answer(guest, bytesOf(5));
    assert.equal(client.answers.length, 1);
  });

  it('carries 65,507 bytes both ways in fragments', () => {
    const { world, guest } = published();
    const client = new Client(world);
    const large = bytesOf(65_507, 9);
    client.send(large);
    const fragments = guest.datagrams.splice(0).map(({ bytes }) => bytes);
    assert.ok(fragments.length > 40);
    assertSameBytes(concat(fragments).subarray(8), large);
    const frame = udpFrame({ mac: guest.mac, source: guest.address, destination: ip('10.1.2.3') }, 53, 50_000, large);
    guest.end.send(fragmentsOf(frame, 1480, 77));
    world.settle();
    assertSameBytes(client.answers[0]!, large);
  });

  it('forgets a client after two minutes of silence, counted from the last datagram either way', () => {
    const { world, guest } = published();
    const client = new Client(world);
    client.send(bytesOf(4));
    const { source, sourcePort } = guest.datagrams[0]!;
    for (let i = 0; i < 5; i++) {
      world.advance(100_000);
      guest.sendUdp(53, source, sourcePort, bytesOf(5));
    }
    assert.equal(client.answers.length, 5);
    world.advance(118_000);
    assert.equal(world.report?.connections, 1);
    world.advance(5_000);
    assert.equal(world.report?.connections, 0);
    world.assertNothingHeld();
  });

  it('forgets the client not used for longest when there are too many', () => {
    const limits = { guests: 6, flows: 64, dialsInFlight: 32, udpMappings: 8 };
    const world = new ForwardWorld({ limits });
    const guest = world.guest();
    world.open({ protocol: 'udp' });
    const clients = Array.from({ length: 5 }, (_, i) => new Client(world, { port: 50_000 + i }));
    for (const client of clients.slice(0, 4)) client.send(bytesOf(4));
    world.advance(2_000);
    clients[0]!.send(bytesOf(4));
    clients[4]!.send(bytesOf(4));
    assert.equal(world.counters.get('forward-udp-evicted'), 1);
    assert.equal(world.report?.connections, 4);
    guest.datagrams.splice(0);
    guest.sendUdp(80, ip('10.1.2.3'), 50_000, bytesOf(5));
    assert.equal(clients[0]!.answers.length, 1);
  });

  it('keeps who goes on asking while others come once each, more than it can know', () => {
    const limits = { guests: 6, flows: 64, dialsInFlight: 32, udpMappings: 8 };
    const world = new ForwardWorld({ limits });
    const guest = world.guest();
    world.open({ protocol: 'udp' });
    const calm = new Client(world);
    let port = 20_000;
    for (let round = 0; round < 50; round++) {
      calm.send(bytesOf(4));
      for (let i = 0; i < 3; i++) new Client(world, { port: port++ }).send(bytesOf(5));
      while (guest.datagrams.length > 0) answer(guest, bytesOf(6));
      world.advance(10);
    }
    assert.equal(calm.answers.length, 50);
    assert.equal(world.report?.connections, 4);
    assert.ok(world.counters.get('forward-udp-evicted') > 100);
  });

  it('makes room for a new client also where all go on asking', () => {
    const limits = { guests: 6, flows: 64, dialsInFlight: 32, udpMappings: 8 };
    const world = new ForwardWorld({ limits });
    const guest = world.guest();
    world.open({ protocol: 'udp' });
    const clients = Array.from({ length: 6 }, (_, i) => new Client(world, { port: 50_000 + i }));
    for (const client of [...clients, ...clients.slice(2), ...clients]) {
      client.send(bytesOf(4));
      answer(guest, bytesOf(5));
    }
    assert.deepEqual(
      clients.map(({ answers }) => answers.length),
      [2, 2, 3, 3, 3, 3],
    );
    assert.equal(world.report?.connections, 4);
  });

  it('survives what the guest says by ICMP', () => {
    const { world, guest } = published();
    const client = new Client(world);
    client.send(bytesOf(4));
    const unreachable = udpFrame(
      { mac: guest.mac, source: guest.address, destination: ip('10.1.2.3') },
      0,
      0,
      bytesOf(28),
    );
    unreachable[23] = 1;
    unreachable.set([3, 3, 0, 0, 0, 0, 0, 0], 34);
    guest.end.send([unreachable]);
    world.settle();
    client.send(bytesOf(4));
    assert.equal(guest.datagrams.length, 2);
  });

  it('waits for a guest that has to be asked for, and drops what is for nobody', () => {
    const world = new ForwardWorld();
    const guest = world.guest(FIRST_GUEST_ADDRESS, false, { heard: true });
    world.open({ protocol: 'udp' });
    new Client(world).send(bytesOf(4));
    assert.equal(guest.datagrams.length, 1);
    guest.end.hangUp();
    world.settle();
    assert.equal(world.report?.why, 'no guest has 192.168.65.3');
    const client = new Client(world);
    for (let i = 0; i < 70; i++) client.send(bytesOf(4));
    assert.equal(world.counters.get('forward-udp-no-guest'), 70);
    guest.end = world.net.qemu('back');
    guest.announce();
    world.advance(3_000);
    assert.equal(world.report?.state, 'up');
    client.send(bytesOf(6));
    assert.equal(guest.datagrams.at(-1)!.bytes.length, 6);
  });

  it('sends what the guest begins from the published port by its own socket, and brings the answers back', () => {
    const { world, guest } = published({ guestPort: 27_015 });
    const remote = new Client(world, { address: ip('203.0.113.9'), port: 27_010 });
    guest.sendUdp(27_015, ip('203.0.113.9'), 27_010, bytesOf(40, 1));
    guest.sendUdp(27_015, ip('203.0.113.9'), 27_010, bytesOf(41, 1));
    assert.deepEqual(
      remote.answers.map(({ length }) => length),
      [40, 41],
    );
    assert.equal(world.net.gauges['udp-mappings'], 0);
    remote.send(bytesOf(50, 2));
    const [got] = guest.datagrams;
    assert.deepEqual([got!.source, got!.sourcePort, got!.port], [ip('203.0.113.9'), 27_010, 27_015]);
    assert.equal(world.report?.connections, 1);
    world.advance(130_000);
    assert.equal(world.report?.connections, 0);
    guest.sendUdp(27_015, ip('203.0.113.9'), 27_010, bytesOf(42, 1));
    assert.equal(remote.answers.length, 3, 'also after two minutes');
  });

  it('leaves to an ordinary mapping what its guest sends from another port, and what another guest sends from that one', () => {
    const { world, guest } = published({ guestPort: 27_015 });
    const remote = new Client(world, { address: ip('203.0.113.9'), port: 27_010 });
    guest.sendUdp(27_016, ip('203.0.113.9'), 27_010, bytesOf(40, 1));
    world.guest(ip('192.168.65.9')).sendUdp(27_015, ip('203.0.113.9'), 27_010, bytesOf(40, 1));
    assert.deepEqual([remote.answers.length, world.net.gauges['udp-mappings']], [0, 2]);
    world.net.network.closeForward(1, false);
    guest.sendUdp(27_015, ip('203.0.113.9'), 27_010, bytesOf(40, 1));
    assert.deepEqual([remote.answers.length, world.net.gauges['udp-mappings']], [0, 3]);
  });

  it('leaves datagrams with the host while the guest’s outlet is full', () => {
    const { world, guest } = published();
    guest.end.makeRoom(0);
    const client = new Client(world);
    for (let i = 0; i < 900; i++) client.send(bytesOf(1_400, i));
    guest.end.makeRoom(Number.POSITIVE_INFINITY);
    world.settle();
    assert.equal(world.counters.get('udp-outlet-full'), 0);
    assert.equal(guest.datagrams.length, 900);
  });

  it('loses no datagram that comes in fragments to a guest whose outlet fills up', () => {
    const { world, guest } = published();
    const framesSent = (): number => world.net.network.traffic['guest-frames-sent']!;
    const before = framesSent();
    guest.end.makeRoom(0);
    const client = new Client(world);
    for (let i = 0; i < 900; i++) client.send(bytesOf(8_000, i));
    for (let i = 0; i < 4; i++) {
      guest.end.makeRoom(2_500_000);
      world.settle();
    }
    assert.equal(world.counters.get('udp-outlet-full'), 0);
    assert.equal(framesSent() - before, 900 * 6);
  });

  it('ends with its clients', () => {
    const { world, guest } = published();
    new Client(world).send(bytesOf(4));
    world.net.network.closeForward(1, false);
    assert.equal(world.net.host.clients.held, 0);
    world.assertNothingHeld();
    // What the guest still says goes where any datagram of its own would.
    guest.sendUdp(53, ip('10.1.2.3'), 50_000, bytesOf(5));
    assert.equal(world.net.gauges['udp-mappings'], 1);
  });

  it('gives a guest’s own conversation from that port its own answers', () => {
    const { world, guest } = published();
    world.net.host.listenUdp(ip('203.0.113.7'), 99, ({ reply }) => reply(bytesOf(7)));
    new Client(world).send(bytesOf(4));
    guest.datagrams.splice(0);
    guest.sendUdp(53, ip('203.0.113.7'), 99, bytesOf(5));
    assert.deepEqual(
      guest.datagrams.map(({ sourcePort, bytes }) => [sourcePort, bytes.length]),
      [[99, 7]],
    );
    assert.equal(guest.datagrams[0]!.port, 53);
  });
});
