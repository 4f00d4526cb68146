import { readU16, readU32 } from '../../src/wire/bytes.ts';
import { DHCP_REQUEST } from '../../src/wire/dhcpv4.ts';
import { seqAdd } from '../../src/wire/seqnum.ts';
import { ACK, FIN, SYN } from '../../src/wire/tcp.ts';
import { writeSynOptions } from '../../src/wire/tcp-options.ts';
import { arpFrame, echoRequest, GATEWAY, ip, OUTSIDE } from '../support/core-world.ts';
import {
  dhcpFrame,
  dnsQuestion,
  fragmentsOf,
  mendChecksums,
  packetFrame,
  tcpFrame,
  udpFrame,
} from '../support/guest-frames.ts';
import type { GuestEnd, NetworkWorld } from '../support/network-world.ts';
import { FIRST_GUEST, type Wire } from './fuzz-steps.ts';

const NETWORK = ip('192.168.65.0');

/** Where a guest stands in a connection, by the segments that it got. */
interface Place {
  readonly sourcePort: number;
  readonly destination: number;
  readonly destinationPort: number;
  sequence: number;
  acknowledgment: number;
}

/** A guest that knows just enough of TCP to get into every state, and keeps none of its rules. */
export class FuzzGuest {
  end: GuestEnd;
  readonly #index: number;
  readonly #mac: number;
  readonly #address: number;
  readonly #places = new Map<string, Place>();

  constructor(world: NetworkWorld, index: number) {
    this.#index = index;
    this.#mac = 0x5a94_ef00_0001 + index;
    this.#address = FIRST_GUEST + index;
    this.end = this.attach(world);
  }

  /** Plugs in (again): every other guest has a tap. */
  attach(world: NetworkWorld): GuestEnd {
    this.end = this.#index % 2 === 0 ? world.qemu(`guest ${this.#index}`) : world.tap(`tap ${this.#index}`);
    return this.end;
  }

  /** Takes what came and learns from it. */
  listen(): void {
    for (const frame of this.end.take()) {
      if (readU16(frame, 12) !== 0x0800 || frame[23] !== 6 || readU32(frame, 30) !== this.#address) continue;
      const place = this.#places.get(keyOf(readU16(frame, 36), readU32(frame, 26), readU16(frame, 34)));
      if (place === undefined) continue;
      const text = readU16(frame, 16) - 20 - (frame[46]! >>> 4) * 4;
      const flags = frame[47]!;
      const span = text + ((flags & SYN) === 0 ? 0 : 1) + ((flags & FIN) === 0 ? 0 : 1);
      place.acknowledgment = seqAdd(readU32(frame, 38), span);
      if ((flags & ACK) !== 0) place.sequence = readU32(frame, 42);
    }
  }

  syn(port: number): Uint8Array {
    const place = this.#place(40_000 + port, OUTSIDE, 80);
    place.sequence = seqAdd(place.sequence, 100_000);
    const options = new Uint8Array(12);
    writeSynOptions(options, 0, 1460, 2, true);
    const frame = this.#segment(place, SYN, 16_000, new Uint8Array(0), options);
    place.sequence = seqAdd(place.sequence, 1);
    return frame;
  }

  /** Acknowledges all that came, in every connection. */
  acknowledgments(): Uint8Array[] {
    return [...this.#places.values()].map((place) => this.#segment(place, ACK, 16_000, new Uint8Array(0), undefined));
  }

  frames(one: Wire): Uint8Array[] {
    const mac = this.#mac;
    const source = this.#address;
    switch (one.what) {
      case 'noise': {
        const frame = one.bytes.slice();
        if (one.toGateway) frame.set([0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xdd]);
        return [frame];
      }
      case 'arp':
        return [arpFrame(one.operation, mac, NETWORK + one.sender, NETWORK + one.target)];
      case 'dhcp':
        return [dhcpFrame(mac, one.type, NETWORK + one.wanted, one.type === DHCP_REQUEST ? GATEWAY : undefined)];
      case 'tcp':
        return this.#segments(one);
      case 'udp': {
        const payload =
          one.destinationPort === 53 ? dnsQuestion('x.test', one.port) : new Uint8Array(one.length).fill(one.port);
        const route = { mac, source, destination: one.destination };
        return inPieces(udpFrame(route, 50_000 + one.port, one.destinationPort, payload), one);
      }
      case 'echo': {
        const message = echoRequest(one.identifier, 1, new Uint8Array(one.length));
        message[0] = one.type;
        const frame = mendChecksums(packetFrame({ mac, source, destination: one.destination }, 1, message));
        return frame.length > 1514 ? fragmentsOf(frame, 1480, one.identifier) : [frame];
      }
    }
  }

  #segments(one: Extract<Wire, { what: 'tcp' }>): Uint8Array[] {
    const place = this.#place(40_000 + one.port, one.destination, one.destinationPort);
    const { flags, window, length, shift, acknowledgmentShift } = one;
    const standing = { ...place };
    standing.sequence = seqAdd(place.sequence, shift);
    standing.acknowledgment = seqAdd(place.acknowledgment, acknowledgmentShift);
    const frames: Uint8Array[] = [];
    for (let i = 0; i < Math.max(1, length > 0 ? one.count : 1); i++) {
      frames.push(this.#segment(standing, flags, window, new Uint8Array(length).fill(i), one.options));
      standing.sequence = seqAdd(standing.sequence, length);
    }
    if ((flags & FIN) !== 0) standing.sequence = seqAdd(standing.sequence, 1);
    if (shift === 0) place.sequence = standing.sequence;
    return frames;
  }

  #segment(place: Place, flags: number, window: number, text: Uint8Array, options: Uint8Array | undefined): Uint8Array {
    const { sourcePort, destination, destinationPort, sequence, acknowledgment } = place;
    const route = { mac: this.#mac, source: this.#address, destination };
    const facts = { sourcePort, destinationPort, sequence, acknowledgment, flags, window, text };
    return tcpFrame(route, options === undefined ? facts : { ...facts, options });
  }

  #place(sourcePort: number, destination: number, destinationPort: number): Place {
    const key = keyOf(sourcePort, destination, destinationPort);
    let place = this.#places.get(key);
    if (place === undefined) {
      // Near the end of the numbers, so that they wrap.
      place = { sourcePort, destination, destinationPort, sequence: 0xffff_e000, acknowledgment: 0 };
      this.#places.set(key, place);
    }
    return place;
  }
}

function keyOf(guestPort: number, remote: number, remotePort: number): string {
  return `${guestPort} ${remote} ${remotePort}`;
}

function inPieces(frame: Uint8Array, one: Extract<Wire, { what: 'udp' }>): Uint8Array[] {
  if (one.step === 0 && frame.length <= 1514) return [frame];
  const fragments = fragmentsOf(frame, one.step === 0 ? 1480 : one.step, one.port + one.length);
  const rank = (fragment: Uint8Array): number => (readU16(fragment, 20) * one.order) % 7;
  if (one.order > 0) fragments.sort((a, b) => rank(a) - rank(b));
  const again = fragments[one.twice];
  if (again !== undefined) fragments.push(again);
  if (one.lose >= 0 && one.lose < fragments.length) fragments.splice(one.lose, 1);
  return fragments;
}
