import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGEING_MS, MAX_STATIONS_PER_PORT } from '../../src/link/forwarding-database.ts';
import { ETHERTYPE_IPV4 } from '../../src/wire/ethernet.ts';
import {
  arpFrame,
  CoreWorld,
  ethernetFrame,
  GATEWAY,
  GATEWAY_MAC,
  GUEST,
  HOST,
  ipFrame,
} from '../support/core-world.ts';
import { KnownSockets } from '../support/known-sockets.ts';

const A = 0x02_0000_0000_0a;
const B = 0x02_0000_0000_0b;
const BROADCAST = 0xffff_ffff_ffff;
const TYPE = 0x88b5;

const frame = (destination: number, source: number, length = 46): Uint8Array =>
  ethernetFrame(destination, source, TYPE, new Uint8Array(length));

test('unknown unicast is flooded to the other guests, known unicast goes to its port alone', () => {
  const world = new CoreWorld();
  const [a, b, c] = [world.guest(), world.guest(), world.guest()];
  world.receive(a, frame(B, A));
  assert.deepEqual([a.outlet.take().length, b.outlet.take().length, c.outlet.take().length], [0, 1, 1]);
  world.receive(b, frame(A, B));
  assert.deepEqual([a.outlet.take().length, b.outlet.take().length, c.outlet.take().length], [1, 0, 0]);
});

test('a broadcast reaches every other guest and the gateway', () => {
  const world = new CoreWorld();
  const [a, b, c] = [world.guest(), world.guest(), world.guest()];
  world.receive(a, frame(BROADCAST, A));
  assert.deepEqual([a.outlet.count, b.outlet.count, c.outlet.count], [0, 1, 1]);
  assert.equal(world.counters.get('ethernet-unknown-type'), 1);
});

test('a frame with tags of VLAN 0 is the frame without them: for the gateway, for other guests, for what checksums are', () => {
  const world = new CoreWorld();
  const [a, b] = [world.guest(), world.guest()];
  const tagged = (bytes: Uint8Array, ...tags: readonly number[]): Uint8Array =>
    Uint8Array.of(
      ...bytes.slice(0, 12),
      ...tags.flatMap((tag) => [tag >>> 24, (tag >>> 16) & 255, (tag >>> 8) & 255, tag & 255]),
      ...bytes.slice(12),
    );
  world.receive(a, tagged(arpFrame(1, A, GUEST, GATEWAY), 0x8100_6000));
  assert.equal(a.outlet.take().length, 1, 'the gateway answers ARP');
  const plain = frame(BROADCAST, A);
  for (const tags of [[0x8100_0000], [0x8100_e000, 0x8100_1000], [0x88a8_6000]]) {
    world.receive(a, tagged(plain, ...tags));
    assert.deepEqual(b.outlet.take().at(-1)?.bytes, plain);
  }
  world.receive(a, tagged(plain, 0x8100_0005));
  assert.deepEqual(b.outlet.take()[0]?.bytes, tagged(plain, 0x8100_0005));
  const short = tagged(plain, 0x8100_0000).slice(0, 17);
  world.receive(a, short);
  assert.deepEqual(b.outlet.take()[0]?.bytes, short);
});

test('a guest that comes back is attached as who it was, whoever came meanwhile', () => {
  const world = new CoreWorld();
  const { outlet } = world.guest();
  const attach = () => world.switch.attach(outlet, 'qemu+unix:///vm.sock');
  const [first, second] = [attach(), attach()];
  assert.deepEqual([first.attachment, second.attachment], ['qemu+unix:///vm.sock', 'qemu+unix:///vm.sock #2']);
  world.switch.detach(first);
  const [back, third] = [attach(), attach()];
  assert.deepEqual([back.attachment, third.attachment], ['qemu+unix:///vm.sock', 'qemu+unix:///vm.sock #3']);
  assert.notEqual(back.id, first.id);
});

test("a port tells where its guest's own sockets are seen", () => {
  const world = new CoreWorld();
  const { outlet } = world.guest();
  const sockets = new KnownSockets();
  sockets.set(80, 'listens');
  assert.equal(world.switch.attach(outlet, 'run', { sockets }).sockets?.tcp(GUEST, 80), 'listens');
  assert.equal(world.switch.attach(outlet, 'qemu').sockets, undefined);
});

test("a guest that uses the gateway's MAC is dropped, counted, and named in the log once", () => {
  const world = new CoreWorld();
  const [a, b] = [world.guest(), world.guest()];
  world.receive(a, frame(BROADCAST, GATEWAY_MAC));
  world.receive(a, frame(BROADCAST, GATEWAY_MAC));
  assert.equal(b.outlet.count, 0);
  assert.equal(world.counters.get('switch-gateway-mac-claimed'), 2);
  assert.equal(world.lines.length, 1);
  assert.equal(world.lines[0]?.fields?.port, a.port.name);
});

test('runts and sources that no station has are dropped', () => {
  const world = new CoreWorld();
  const a = world.guest();
  world.receive(a, frame(B, A).subarray(0, 13));
  world.receive(a, frame(B, BROADCAST));
  world.receive(a, frame(B, 0));
  assert.deepEqual(world.counters.snapshot(), { 'switch-bad-source-mac': 2, 'switch-runt': 1 });
});

test('a full guest loses its own frames and holds nobody back', () => {
  const world = new CoreWorld();
  const [a, slow, c] = [world.guest(), world.guest({ capacity: 1 }), world.guest()];
  for (let i = 0; i < 3; i++) world.receive(a, frame(BROADCAST, A));
  assert.deepEqual([slow.outlet.count, c.outlet.count], [1, 3]);
  assert.equal(world.counters.get('switch-port-full'), 2);
});

test('a station that moves to another port is followed and counted', () => {
  const world = new CoreWorld();
  const [a, b, c] = [world.guest(), world.guest(), world.guest()];
  world.receive(a, frame(BROADCAST, A));
  world.receive(b, frame(BROADCAST, A));
  for (const g of [a, b, c]) g.outlet.take();
  world.receive(c, frame(A, B));
  assert.deepEqual([a.outlet.count, b.outlet.count], [0, 1]);
  assert.equal(world.counters.get('switch-address-moved'), 1);
});

test('what was not heard for five minutes is flooded again', () => {
  const world = new CoreWorld();
  const [a, b, c] = [world.guest(), world.guest(), world.guest()];
  world.receive(a, frame(BROADCAST, A));
  world.turn.run(1000 + AGEING_MS + 1);
  for (const g of [a, b, c]) g.outlet.take();
  world.receive(b, frame(A, B));
  assert.deepEqual([a.outlet.count, c.outlet.count], [1, 1]);
});

test('one guest cannot fill the forwarding database', () => {
  const world = new CoreWorld();
  const a = world.guest();
  for (let i = 0; i < MAX_STATIONS_PER_PORT + 5; i++) world.receive(a, frame(GATEWAY_MAC, A + 0x100 * (i + 1)));
  assert.equal(world.counters.get('switch-port-address-limit'), 5);
});

test('a detached port neither sends nor receives, and its stations are forgotten', () => {
  const world = new CoreWorld();
  const [a, b, c] = [world.guest(), world.guest(), world.guest()];
  world.receive(a, frame(BROADCAST, A));
  world.switch.detach(a.port);
  world.switch.detach(a.port);
  world.receive(a, frame(BROADCAST, A));
  assert.equal(world.counters.get('switch-port-detached'), 1);
  for (const g of [a, b, c]) g.outlet.take();
  world.receive(b, frame(A, B));
  assert.deepEqual([a.outlet.count, c.outlet.count], [0, 1]);
  assert.equal(a.port.attached, false);
});

test('a frame beyond the MTU of its guest is dropped, as a switch does', () => {
  const world = new CoreWorld();
  const [a, b] = [world.guest({ mtu: 9000 }), world.guest({ mtu: 1500 })];
  world.receive(a, ethernetFrame(B, A, ETHERTYPE_IPV4, new Uint8Array(1501)));
  world.receive(a, ethernetFrame(B, A, ETHERTYPE_IPV4, new Uint8Array(1500)));
  assert.equal(b.outlet.count, 1);
  assert.equal(world.counters.get('switch-frame-too-big'), 1);
});

/** The frame with a tag of that type for VLAN 0, which the receiver takes for untagged. */
function tagged(frame: Uint8Array, type: number): Uint8Array {
  const tag = Uint8Array.of(type >>> 8, type & 0xff, 0, 0);
  return Uint8Array.from([...frame.subarray(0, 12), ...tag, ...frame.subarray(12)]);
}

test("no guest hears another one claim the gateway's address, behind tags for VLAN 0 neither", () => {
  const world = new CoreWorld();
  const [a, b] = [world.guest(), world.guest()];
  world.receive(b, frame(BROADCAST, B));
  a.outlet.take();
  for (const claimed of [GATEWAY, HOST]) {
    for (const destination of [B, BROADCAST]) {
      const claim = arpFrame(2, A, claimed, GUEST);
      claim.set(ethernetFrame(destination, A, TYPE, new Uint8Array(0)).subarray(0, 6));
      for (const sent of [claim, tagged(claim, 0x8100), tagged(claim, 0x88a8), tagged(tagged(claim, 0x8100), 0x8100)]) {
        world.receive(a, sent);
      }
    }
  }
  assert.equal(b.outlet.count, 0);
  world.receive(a, tagged(arpFrame(2, A, GUEST, GUEST + 1), 0x8100));
  assert.equal(b.outlet.count, 1);
});

test("no guest gets a packet from another one in the gateway's name", () => {
  const world = new CoreWorld();
  const [a, b] = [world.guest(), world.guest()];
  world.receive(b, frame(BROADCAST, B));
  a.outlet.take();
  for (const destinationMac of [B, BROADCAST]) {
    const sent = ipFrame({ source: GATEWAY, destination: GUEST, protocol: 1, sourceMac: A, destinationMac });
    for (const frame of [sent, tagged(sent, 0x8100)]) world.receive(a, frame);
  }
  assert.equal(b.outlet.count, 0);
  assert.equal(world.counters.get('switch-gateway-address-claimed'), 2);
  world.receive(a, ipFrame({ source: GUEST + 1, destination: GUEST, sourceMac: A, destinationMac: B }));
  assert.equal(b.outlet.count, 1);
});
