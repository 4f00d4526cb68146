import { readU16, readU32, writeU16 } from '../../src/wire/bytes.ts';
import { foldedComplement, pseudoHeaderSum, sumBytes } from '../../src/wire/checksum.ts';
import { BOOT_REQUEST, DHCP_DISCOVER } from '../../src/wire/dhcpv4.ts';
import { DhcpWriter } from '../../src/wire/dhcpv4-writer.ts';
import { writeTcp } from '../../src/wire/tcp.ts';
import { writeUdp } from '../../src/wire/udp.ts';
import { ipFrame } from './core-world.ts';

/** Where a guest's packet comes from and goes to. */
export interface Route {
  readonly mac: number;
  readonly source: number;
  readonly destination: number;
  readonly ttl?: number;
}

export interface TcpFacts {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgment?: number;
  readonly flags: number;
  readonly window?: number;
  /** Bytes of options, a multiple of four. */
  readonly options?: Uint8Array;
  readonly text?: Uint8Array;
}

/** A TCP segment in a frame to the gateway, checksums right. */
export function tcpFrame(route: Route, facts: TcpFacts): Uint8Array {
  const { options = new Uint8Array(0), text = new Uint8Array(0) } = facts;
  const headerBytes = 20 + options.length;
  const segment = new Uint8Array(headerBytes + text.length);
  const { sourcePort, destinationPort, sequence, acknowledgment = 0, flags, window = 65_535 } = facts;
  writeTcp(segment, 0, { sourcePort, destinationPort, sequence, acknowledgment, headerBytes, flags, window });
  segment.set(options, 20);
  segment.set(text, headerBytes);
  return mendChecksums(packetFrame(route, 6, segment));
}

/** A UDP datagram in a frame to the gateway, checksums right. */
export function udpFrame(route: Route, sourcePort: number, destinationPort: number, payload: Uint8Array): Uint8Array {
  const datagram = new Uint8Array(8 + payload.length);
  writeUdp(datagram, 0, sourcePort, destinationPort, datagram.length);
  datagram.set(payload, 8);
  return mendChecksums(packetFrame(route, 17, datagram));
}

/** Any IPv4 packet in a frame to the gateway. */
export function packetFrame(route: Route, protocol: number, payload: Uint8Array): Uint8Array {
  const { mac, source, destination, ttl = 64 } = route;
  return ipFrame({ sourceMac: mac, source, destination, ttl, protocol, payload });
}

/** The fragments of a frame's packet, `step` bytes of payload (a multiple of eight) each but the last. */
export function fragmentsOf(frame: Uint8Array, step: number, identification: number): Uint8Array[] {
  const fragments: Uint8Array[] = [];
  const payload = frame.subarray(34);
  for (let at = 0; at < payload.length; at += step) {
    const part = payload.subarray(at, at + step);
    const fragment = new Uint8Array(34 + part.length);
    fragment.set(frame.subarray(0, 34));
    fragment.set(part, 34);
    writeU16(fragment, 16, 20 + part.length);
    writeU16(fragment, 18, identification);
    writeU16(fragment, 20, (at + step < payload.length ? 0x2000 : 0) | (at >>> 3));
    writeU16(fragment, 24, 0);
    writeU16(fragment, 24, foldedComplement(sumBytes(fragment, 14, 20, 0)));
    fragments.push(fragment);
  }
  return fragments;
}

/** A DHCP message of a client without an address, broadcast. `wanted`: the address it asks for. */
export function dhcpFrame(mac: number, type: number = DHCP_DISCOVER, wanted?: number, server?: number): Uint8Array {
  const message = new Uint8Array(300);
  const writer = new DhcpWriter(message);
  const none = { hops: 0, secs: 0, ciaddr: 0, yiaddr: 0, siaddr: 0, giaddr: 0 };
  writer.start(0, 300, { ...none, operation: BOOT_REQUEST, xid: 0x1234, broadcast: false, chaddr: mac });
  writer.putU8(53, type);
  if (wanted !== undefined) writer.putU32(50, wanted);
  if (server !== undefined) writer.putU32(54, server);
  writer.finish();
  const frame = udpFrame({ mac, source: 0, destination: 0xffff_ffff }, 68, 67, message);
  frame.fill(0xff, 0, 6);
  return frame;
}

/** A question for the address of `name`. */
export function dnsQuestion(name: string, id = 7): Uint8Array {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)]);
  return Uint8Array.from([id >>> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, 1, 0, 1]);
}

/** Makes IPv4's and the L4 protocol's checksum right where the frame still looks like one, whatever was done to it. */
export function mendChecksums(frame: Uint8Array): Uint8Array {
  if (frame.length < 34 || readU16(frame, 12) !== 0x0800) return frame;
  const headerBytes = (frame[14]! & 15) * 4;
  const total = readU16(frame, 16);
  if (headerBytes < 20 || total < headerBytes || 14 + total > frame.length) return frame;
  writeU16(frame, 24, 0);
  writeU16(frame, 24, foldedComplement(sumBytes(frame, 14, headerBytes, 0)));
  const at = 14 + headerBytes;
  const length = total - headerBytes;
  const protocol = frame[23]!;
  const field = protocol === 6 ? 16 : protocol === 17 ? 6 : protocol === 1 ? 2 : -1;
  if (field < 0 || field + 2 > length) return frame;
  const pseudo = protocol === 1 ? 0 : pseudoHeaderSum(readU32(frame, 26), readU32(frame, 30), protocol, length);
  writeU16(frame, at + field, 0);
  const checksum = foldedComplement(sumBytes(frame, at, length, pseudo));
  writeU16(frame, at + field, protocol === 17 && checksum === 0 ? 0xffff : checksum);
  return frame;
}
