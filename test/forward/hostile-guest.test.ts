import { test } from 'node:test';
import { readU16, readU32 } from '../../src/wire/bytes.ts';
import { ip } from '../support/core-world.ts';
import { ForwardWorld } from '../support/forward-world.ts';
import { mendChecksums, packetFrame, tcpFrame, udpFrame } from '../support/guest-frames.ts';
import { seededRandom } from '../support/tcp-link.ts';

/**
 * A guest that answers forwards with whatever: no byte of it may break anything, keep anything or write outside its
 * place.
 */
for (let seed = 1; seed <= 6; seed++) {
  test(`a guest that answers forwards at random breaks nothing and leaves nothing (seed ${seed})`, () => {
    const random = seededRandom(seed);
    const below = (n: number): number => random() % n;
    const world = new ForwardWorld();
    const guest = world.guest();
    guest.hung = true;
    world.open({ waitMs: seed % 2 === 0 ? 3_000 : 0, proxy: seed % 3 === 0 ? 'v2' : 'none' });
    world.open({ id: 2, protocol: 'udp', sockets: { kind: 'descriptors', fds: [51], index: [0] } });
    const udp = world.net.host.clients.openUdp({ fd: 51 }, { address: ip('10.1.2.3'), port: 9 }, () => {});
    for (let round = 0; round < 400; round++) {
      const client = world.connectQuietly({ address: ip('10.1.2.3') + below(3), port: 50_000 + below(40) });
      udp.send(new Uint8Array(below(3_000)));
      world.net.settle();
      client.say(new Uint8Array(below(4_000)));
      if (below(3) === 0) client.peer?.reset();
      if (below(4) === 0) client.peer?.end();
      const frames = guest.end.take();
      guest.end.send(frames.flatMap((frame) => answersTo(frame, guest.mac, below)));
      world.net.settle();
      if (below(5) === 0) world.net.nowMs += below(3_000);
      if (below(60) === 0) {
        guest.end.hangUp();
        guest.end = world.net.qemu('again');
        guest.announce();
      }
    }
    world.net.network.abort();
    world.net.settle();
    world.net.arena.check();
    world.assertNothingHeld();
  });
}

/** Nearly right answers to a frame that came: right numbers, or wrong by little or by much. */
function answersTo(frame: Uint8Array, mac: number, below: (n: number) => number): Uint8Array[] {
  if (readU16(frame, 12) !== 0x0800) return [];
  const route = { mac, source: readU32(frame, 30), destination: readU32(frame, 26) };
  if (frame[23] === 17) return [udpFrame(route, readU16(frame, 36), readU16(frame, 34), new Uint8Array(below(1_400)))];
  if (frame[23] !== 6) return [];
  if (below(12) === 0) return [unreachable(frame, route)];
  const skew = [0, 0, 0, 1, -1, 70_000, 2 ** 31][below(7)]!;
  const flags = [0x12, 0x10, 0x18, 0x11, 0x14, 0x04, 0x02, 0x3f][below(8)]!;
  const facts = {
    sourcePort: readU16(frame, 36),
    destinationPort: readU16(frame, 34),
    sequence: (readU32(frame, 42) + skew) >>> 0,
    acknowledgment: (readU32(frame, 38) + ((frame[47]! & 2) === 0 ? below(1_500) : 1)) >>> 0,
    flags,
    window: below(65_536),
    text: new Uint8Array(below(3) === 0 ? below(1_400) : 0),
  };
  return [tcpFrame(route, facts)];
}

function unreachable(frame: Uint8Array, route: { mac: number; source: number; destination: number }): Uint8Array {
  const message = new Uint8Array(8 + frame.length - 14);
  message.set([3, 3]);
  message.set(frame.subarray(14), 8);
  return mendChecksums(packetFrame(route, 1, message.subarray(0, Math.min(message.length, 556))));
}
