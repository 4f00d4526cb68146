import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readMac, readU32, writeU16 } from '../../src/wire/bytes.ts';
import {
  arpFrame,
  bytesOf,
  CoreWorld,
  GATEWAY,
  GATEWAY_MAC,
  GUEST,
  GUEST_MAC,
  HOST,
  ip,
  ipFrame,
  OUTSIDE,
} from '../support/core-world.ts';

const BROADCAST_MAC = 0xffff_ffff_ffff;

function udp(destinationPort: number, length = 8): Uint8Array {
  const bytes = bytesOf(length);
  writeU16(bytes, 2, destinationPort);
  return bytes;
}

test('ARP requests and probes for gateway and host address are answered with the gateway MAC', () => {
  const world = new CoreWorld();
  const guest = world.guest();
  for (const [sender, target] of [
    [GUEST, GATEWAY],
    [GUEST, HOST],
    [0, GATEWAY],
  ] as const) {
    world.receive(guest, arpFrame(1, GUEST_MAC, sender, target));
    const [reply] = guest.outlet.take();
    assert.equal(readMac(reply!.bytes, 0), GUEST_MAC);
    assert.equal(readMac(reply!.bytes, 22), GATEWAY_MAC);
    assert.equal(readU32(reply!.bytes, 28), target);
    assert.equal(readU32(reply!.bytes, 38), sender);
  }
  assert.equal(world.interface.neighbors.size, 1);
});

test('a guest that claims our address by ARP is ignored, counted, and named in the log once', () => {
  const world = new CoreWorld();
  const guest = world.guest();
  for (const address of [GATEWAY, HOST]) world.receive(guest, arpFrame(1, GUEST_MAC, address, address));
  assert.equal(world.counters.get('arp-gateway-address-claimed'), 2);
  assert.equal(world.lines.length, 1);
  assert.equal(guest.outlet.count, 0);
});

test('a gratuitous ARP moves the neighbor that flows already keep', () => {
  const world = new CoreWorld();
  const [a, b] = [world.guest(), world.guest()];
  world.receive(a, arpFrame(1, GUEST_MAC, GUEST, GUEST));
  const neighbor = world.interface.neighbors.find(GUEST)!;
  world.receive(b, arpFrame(2, GUEST_MAC, GUEST, GUEST));
  assert.equal(neighbor.port, b.port);
  world.receive(b, arpFrame(2, GUEST_MAC + 1, GUEST, GUEST));
  assert.equal(neighbor.mac, GUEST_MAC + 1);
});

test('spoofed and martian addresses are dropped by name', () => {
  const world = new CoreWorld();
  const guest = world.guest();
  const packets = world.record(17);
  const cases: [string, string, string][] = [
    ['127.0.0.1', '203.0.113.7', 'ipv4-martian-source'],
    ['224.0.0.1', '203.0.113.7', 'ipv4-martian-source'],
    ['192.168.65.255', '203.0.113.7', 'ipv4-martian-source'],
    ['0.0.0.0', '203.0.113.7', 'ipv4-martian-source'],
    ['10.0.0.1', '203.0.113.7', 'ipv4-spoofed-source'],
    ['192.168.65.1', '203.0.113.7', 'ipv4-gateway-address-claimed'],
    ['192.168.65.254', '203.0.113.7', 'ipv4-gateway-address-claimed'],
    ['192.168.65.3', '127.0.0.1', 'ipv4-martian-destination'],
    ['192.168.65.3', '0.1.2.3', 'ipv4-martian-destination'],
    ['192.168.65.3', '240.0.0.1', 'ipv4-martian-destination'],
    ['192.168.65.3', '255.255.255.255', 'ipv4-broadcast-not-served'],
    ['192.168.65.3', '192.168.65.255', 'ipv4-broadcast-not-served'],
    ['192.168.65.3', '239.1.1.1', 'ipv4-broadcast-not-served'],
  ];
  for (const [source, destination, word] of cases) {
    const before = world.counters.get(word);
    world.receive(guest, ipFrame({ source: ip(source), destination: ip(destination) }));
    assert.equal(world.counters.get(word), before + 1, `${source} → ${destination}`);
  }
  assert.equal(packets.length + guest.outlet.count, 0);
});

test('a DHCP client without an address reaches the DHCP service, and nothing else broadcast does', () => {
  const world = new CoreWorld();
  const guest = world.guest();
  const packets = world.record(17);
  world.interface.acceptBroadcast(67);
  const broadcast = { destination: 0xffff_ffff, destinationMac: BROADCAST_MAC };
  world.receive(guest, ipFrame({ ...broadcast, source: 0, payload: udp(67) }));
  assert.equal(packets.length, 1);
  world.receive(guest, ipFrame({ ...broadcast, source: 0, payload: udp(68) }));
  world.receive(guest, ipFrame({ ...broadcast, payload: udp(5353) }));
  assert.equal(packets.length, 1);
  assert.equal(world.interface.neighbors.find(0), undefined);
});

test('a packet that runs out of hops gets time exceeded from the gateway, one for ourselves does not', () => {
  const world = new CoreWorld();
  const guest = world.guest();
  const packets = world.record(17);
  world.receive(guest, ipFrame({ ttl: 1 }));
  const [error] = guest.outlet.take();
  assert.deepEqual([...error!.bytes.subarray(34, 36)], [11, 0]);
  assert.equal(readU32(error!.bytes, 26), GATEWAY);
  assert.equal(readU32(error!.bytes, 58), OUTSIDE);
  world.receive(guest, ipFrame({ ttl: 1, destination: HOST }));
  world.receive(guest, ipFrame({ ttl: 2 }));
  assert.deepEqual(
    packets.map((p) => p.ttl),
    [1, 2],
  );
});

test('another guest by way of the gateway is host unreachable, an unknown protocol protocol unreachable', () => {
  const world = new CoreWorld();
  const guest = world.guest();
  world.receive(guest, ipFrame({ destination: ip('192.168.65.9') }));
  world.receive(guest, ipFrame({ protocol: 132 }));
  assert.deepEqual(
    guest.outlet.take().map(({ bytes }) => [bytes[34], bytes[35]]),
    [
      [3, 1],
      [3, 2],
    ],
  );
});

test('unicast in a broadcast frame is not forwarded (RFC 1122 §3.3.6)', () => {
  const world = new CoreWorld();
  const guest = world.guest();
  const packets = world.record(17);
  world.receive(guest, ipFrame({ destinationMac: BROADCAST_MAC }));
  assert.equal(packets.length, 0);
  assert.equal(world.counters.get('ipv4-unicast-in-broadcast-frame'), 1);
});

test('every frame, however broken, ends in exactly one way', () => {
  const world = new CoreWorld();
  const guest = world.guest();
  const handed = [world.record(17), world.record(6), world.record(1)];
  world.interface.acceptBroadcast(67);
  const seeds = [
    ipFrame({ payload: udp(53, 40) }),
    ipFrame({ source: 0, destination: 0xffff_ffff, destinationMac: BROADCAST_MAC, payload: udp(67, 40) }),
    ipFrame({ protocol: 6, ttl: 1, payload: bytesOf(40) }),
    ipFrame({ flagsAndOffset: 0x2000, payload: bytesOf(64) }),
    ipFrame({ flagsAndOffset: 0x0008, payload: bytesOf(33) }),
    arpFrame(1, GUEST_MAC, GUEST, GATEWAY),
  ];
  const secondary = /^(icmp-error-|neighbor-|reassembly-evicted|switch-address-|switch-port-address)/;
  const ends = (): number =>
    Object.entries(world.counters.snapshot()).reduce((sum, [name, n]) => (secondary.test(name) ? sum : sum + n), 0) +
    handed.reduce((sum, packets) => sum + packets.length, 0);
  const change = fc.tuple(fc.nat({ max: 120 }), fc.nat({ max: 255 }));
  const mutated = fc
    .tuple(fc.constantFrom(...seeds), fc.nat({ max: 120 }), fc.array(change, { maxLength: 3 }), fc.boolean())
    .map(([seed, keep, changes, checksumValid]) => {
      const bytes = seed.slice(0, keep > 100 ? seed.length : keep);
      for (const [where, value] of changes) if (where < bytes.length) bytes[where] = value;
      return { bytes, checksumValid };
    });
  const random = fc.record({ bytes: fc.uint8Array({ maxLength: 200 }), checksumValid: fc.boolean() });
  fc.assert(
    fc.property(fc.oneof(mutated, random), ({ bytes, checksumValid }) => {
      const before = ends();
      world.receive(guest, bytes, { checksumValid });
      guest.outlet.take();
      assert.equal(ends(), before + 1, JSON.stringify(world.counters.snapshot()));
      world.turn.run(world.turn.nowMs + 1);
    }),
    { numRuns: 2000 },
  );
});
