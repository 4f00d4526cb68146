import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OutgoingPacket } from '../../src/ip/output.ts';
import { SLOTS, SLOTS_PER_GUEST, TIMEOUT_MS } from '../../src/ip/reassembly.ts';
import { ipv4ChecksumValid } from '../../src/wire/ipv4.ts';
import { bytesOf, CoreWorld, GATEWAY, GUEST, GUEST_MAC, ipFrame } from '../support/core-world.ts';

/** The frames of a datagram cut every `step` bytes. */
function fragments(payload: Uint8Array, step: number, identification = 9, source = GUEST): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += step) {
    const last = at + step >= payload.length;
    const flagsAndOffset = (last ? 0 : 0x2000) | (at / 8);
    frames.push(ipFrame({ source, identification, flagsAndOffset, payload: payload.slice(at, at + step) }));
  }
  return frames;
}

test('fragments in any order make the datagram, duplicates included', () => {
  const payload = bytesOf(65_507 + 8);
  const frames = fragments(payload, 1480);
  fc.assert(
    fc.property(fc.shuffledSubarray([...frames, ...frames.slice(0, 3)], { minLength: frames.length + 3 }), (order) => {
      const world = new CoreWorld();
      const guest = world.guest();
      const packets = world.record(17);
      for (const frame of order) world.receive(guest, frame);
      assert.equal(packets.length, 1);
      assert.deepEqual(packets[0]!.payload, payload);
    }),
    { numRuns: 10 },
  );
});

test('a datagram handed up keeps its memory until the end of the turn', () => {
  const world = new CoreWorld();
  const guest = world.guest();
  const packets: { readonly at: number; readonly end: number; readonly sent: Uint8Array }[] = [];
  const sent: Uint8Array[] = [];
  world.interface.register(17, {
    receive: ({ payloadAt, payloadEnd }) =>
      void packets.push({ at: payloadAt, end: payloadEnd, sent: sent.at(-1) ?? bytesOf(0) }),
  });
  for (let id = 0; id < 70; id++) {
    sent.push(bytesOf(id % 3 === 0 ? 60_000 : 32, id));
    for (const f of fragments(sent.at(-1)!, id % 3 === 0 ? 30_000 : 16, id)) world.receive(guest, f);
  }
  assert.equal(packets.length, 70);
  for (const { at, end, sent } of packets) assert.deepEqual(world.arena.bytes.slice(at, end), sent);
  world.turn.run(1001);
  for (const f of fragments(bytesOf(32), 16, 99)) world.receive(guest, f);
  assert.equal(packets.length, 71);
});

test("a burst of datagrams in fragments loses none, and none of another guest's", () => {
  const world = new CoreWorld();
  const [busy, other] = [world.guest(), world.guest()];
  const packets = world.record(17);
  const [begun, ended] = fragments(bytesOf(2000), 1480, 7, GUEST + 1);
  world.receive(other, begun!);
  for (let id = 0; id < 500; id++) for (const f of fragments(bytesOf(2000, id), 1480, id)) world.receive(busy, f);
  world.receive(other, ended!);
  assert.equal(packets.length, 501);
  assert.equal(world.counters.get('reassembly-full') + world.counters.get('reassembly-evicted'), 0);
  assert.deepEqual(packets[499]!.payload, bytesOf(2000, 499));
});

test('an overlap gives up the datagram', () => {
  const world = new CoreWorld();
  const guest = world.guest();
  const packets = world.record(17);
  world.receive(guest, ipFrame({ flagsAndOffset: 0x2000, payload: bytesOf(16) }));
  world.receive(guest, ipFrame({ flagsAndOffset: 0x2001, payload: bytesOf(16, 2) }));
  world.receive(guest, ipFrame({ flagsAndOffset: 0x0002, payload: bytesOf(16) }));
  assert.equal(packets.length, 0);
  assert.equal(world.counters.get('reassembly-overlap'), 1);
});

test('lengths that cannot be are dropped by name', () => {
  const world = new CoreWorld();
  const guest = world.guest();
  world.receive(guest, ipFrame({ flagsAndOffset: 0x2000, payload: bytesOf(15) }));
  world.receive(guest, ipFrame({ flagsAndOffset: 0x0001, payload: new Uint8Array(0) }));
  world.receive(guest, ipFrame({ flagsAndOffset: 0x1fff, payload: bytesOf(16) }));
  assert.equal(world.counters.get('reassembly-bad-length'), 2);
  assert.equal(world.counters.get('reassembly-too-big'), 1);
});

test('after 15 s a datagram whose beginning came gets time exceeded, code 1', () => {
  const world = new CoreWorld();
  const guest = world.guest();
  world.receive(guest, ipFrame({ identification: 1, flagsAndOffset: 0x2000, payload: bytesOf(16) }));
  world.receive(guest, ipFrame({ identification: 2, flagsAndOffset: 0x2002, payload: bytesOf(16) }));
  world.turn.run(1000 + TIMEOUT_MS - 10);
  assert.equal(guest.outlet.count, 0);
  world.turn.run(1000 + TIMEOUT_MS + 10);
  assert.deepEqual(
    guest.outlet.take().map(({ bytes }) => [bytes[34], bytes[35]]),
    [[11, 1]],
  );
  assert.equal(world.counters.get('reassembly-timed-out'), 2);
});

test('one guest holds at most 64 unfinished datagrams, whatever addresses it speaks from; the oldest goes first', () => {
  const world = new CoreWorld();
  const guest = world.guest();
  const packets = world.record(17);
  const piece = (id: number, n: 0 | 1): Uint8Array => fragments(bytesOf(32), 16, id, GUEST + (id % 9))[n]!;
  for (let id = 0; id < 65; id++) world.receive(guest, piece(id, 0));
  assert.equal(world.counters.get('reassembly-evicted'), 1);
  for (let id = 64; id >= 0; id--) world.receive(guest, piece(id, 1));
  assert.equal(packets.length, 64);
});

test('where all guests want more unfinished datagrams than there is room for, the guest that has most gives up its oldest', () => {
  const world = new CoreWorld();
  const packets = world.record(17);
  const quiet = world.guest();
  const [begun, ended] = fragments(bytesOf(32), 16, 7, GUEST + 100);
  world.receive(quiet, begun!);
  for (let n = 0; n < 5; n++) {
    const guest = world.guest();
    for (let id = 0; id < 2 * SLOTS_PER_GUEST; id++) {
      world.receive(guest, fragments(bytesOf(32), 16, id, GUEST + n)[0]!);
      world.receive(guest, fragments(bytesOf(8), 16, 1000, GUEST + n)[0]!);
    }
  }
  assert.equal(world.interface.reassemblies, SLOTS);
  assert.equal(packets.length, 10 * SLOTS_PER_GUEST, 'whole datagrams need no slot');
  world.receive(quiet, ended!);
  assert.equal(packets.length, 10 * SLOTS_PER_GUEST + 1, 'who has one keeps it');
});

test('what is sent beyond the MTU goes in fragments that reassemble, or not at all', () => {
  const world = new CoreWorld();
  const guest = world.guest({ mtu: 1500 });
  world.receive(guest, ipFrame());
  const neighbor = world.interface.neighbors.find(GUEST)!;
  guest.outlet.take();
  const payload = bytesOf(65_515);
  const at = world.arena.allocate(payload.length);
  world.arena.bytes.set(payload, at);
  const packet = new OutgoingPacket(17, 64);
  Object.assign(packet, { source: GATEWAY, at, length: payload.length });
  assert.ok(world.output.send(neighbor, packet));
  const frames = guest.outlet.take();
  assert.equal(frames.length, 45);
  const data: number[] = [];
  for (const { bytes } of frames) {
    assert.ok(bytes.length <= 1514 && ipv4ChecksumValid(bytes, 14, 20));
    data.push(...bytes.subarray(34));
  }
  assert.deepEqual(Uint8Array.from(data), payload);
  guest.outlet.capacity = 44;
  assert.equal(world.output.send(neighbor, packet), false);
  assert.equal(guest.outlet.count, 0);
  assert.equal(guest.outlet.cancelled, 1);
  assert.equal(neighbor.mac, GUEST_MAC);
});
