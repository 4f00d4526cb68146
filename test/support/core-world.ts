import { Counters } from '../../src/env/counters.ts';
import type { Log, LogFields } from '../../src/env/log.ts';
import { IcmpErrorSender } from '../../src/icmp/errors.ts';
import { Interface } from '../../src/ip/interface.ts';
import { Ipv4Sender } from '../../src/ip/ipv4-sender.ts';
import type { Packet, ProtocolHandler } from '../../src/ip/packet.ts';
import { Frame } from '../../src/link/frame.ts';
import type { Port } from '../../src/link/port.ts';
import { Switch } from '../../src/link/switch.ts';
import { Turn } from '../../src/turn/turn.ts';
import { writeArp } from '../../src/wire/arp.ts';
import { readU16, writeU16 } from '../../src/wire/bytes.ts';
import { foldedComplement, pseudoHeaderSum, sumBytes } from '../../src/wire/checksum.ts';
import { parseCidr } from '../../src/wire/cidr.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, writeEthernet } from '../../src/wire/ethernet.ts';
import { writeIpv4 } from '../../src/wire/ipv4.ts';
import { parseIpv4Address } from '../../src/wire/ipv4-address.ts';
import { ipv4Header } from './ipv4-header.ts';
import { PlainArena } from './plain-arena.ts';
import { RecordingOutlet, type RecordingOutletOptions } from './recording-outlet.ts';

export function ip(text: string): number {
  const address = parseIpv4Address(text);
  if (address === undefined) throw new Error(`not an address: ${text}`);
  return address;
}

export const GATEWAY = ip('192.168.65.1');
export const HOST = ip('192.168.65.254');
export const GUEST = ip('192.168.65.3');
export const OUTSIDE = ip('203.0.113.7');
export const GATEWAY_MAC = 0x5a94ef_e40cdd;
export const GUEST_MAC = 0x5a94ef_e40001;

export interface Guest {
  readonly port: Port;
  readonly outlet: RecordingOutlet;
}

export interface IpFacts {
  readonly source?: number;
  readonly destination?: number;
  readonly protocol?: number;
  readonly ttl?: number;
  readonly identification?: number;
  readonly flagsAndOffset?: number;
  readonly payload?: Uint8Array;
  readonly destinationMac?: number;
  readonly sourceMac?: number;
}

/**
 * Switch, interface and ICMP errors over a plain arena, with recording guests and a handler that keeps what is handed
 * up.
 */
export class CoreWorld {
  readonly arena: PlainArena = new PlainArena(64 * 1024 * 1024);
  readonly turn: Turn = new Turn(1000);
  readonly counters: Counters = new Counters();
  readonly lines: { message: string; fields: LogFields | undefined }[] = [];
  readonly log: Log = {
    info: (message, fields) => void this.lines.push({ message, fields }),
    warn: (message, fields) => void this.lines.push({ message, fields }),
  };
  readonly subnet = parseCidr('192.168.65.0/24')!;
  readonly random = { u32: (): number => 0xfffe };
  readonly output: Ipv4Sender;
  readonly errors: IcmpErrorSender;
  readonly interface: Interface;
  readonly switch: Switch;
  readonly frame: Frame = new Frame();
  readonly #rx: number;
  #rxNext = 0;

  constructor() {
    const shared = {
      arena: this.arena,
      turn: this.turn,
      counters: this.counters,
      log: this.log,
      random: this.random,
      subnet: this.subnet,
      gatewayAddress: GATEWAY,
      hostAddress: HOST,
      gatewayMac: GATEWAY_MAC,
    };
    this.output = new Ipv4Sender(shared);
    this.errors = new IcmpErrorSender({ ...shared, output: this.output });
    this.interface = new Interface({ ...shared, errors: this.errors });
    this.switch = new Switch({ ...shared, uplink: this.interface });
    this.#rx = this.arena.allocate(64 * 66_000);
  }

  /** A guest that has sent frames before. */
  guest(options?: RecordingOutletOptions): Guest {
    const outlet = new RecordingOutlet(this.arena, options);
    return { outlet, port: this.switch.attach(outlet, `guest ${this.switch.ports.length}`, { heard: true }) };
  }

  /**
   * Copies `bytes` into receive memory and hands them to the port as an ordinary frame, with `facts` about offloads.
   */
  receive(guest: Guest, bytes: Uint8Array, facts: Partial<Frame> = {}): void {
    const at = this.#rx + (this.#rxNext++ % 64) * 66_000;
    this.arena.bytes.set(bytes, at);
    this.frame.plain(at, bytes.length);
    Object.assign(this.frame, facts);
    guest.port.receive(this.frame);
  }

  /** Registers a handler for `protocol` that keeps the payload of each packet. */
  record(protocol: number): { source: number; destination: number; ttl: number; payload: Uint8Array }[] {
    const packets: { source: number; destination: number; ttl: number; payload: Uint8Array }[] = [];
    const handler: ProtocolHandler = {
      receive: (p: Packet) => {
        const payload = this.arena.bytes.slice(p.payloadAt, p.payloadEnd);
        packets.push({ source: p.source, destination: p.destination, ttl: p.ttl, payload });
      },
    };
    this.interface.register(protocol, handler);
    return packets;
  }
}

export function ethernetFrame(destination: number, source: number, type: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(14 + payload.length);
  writeEthernet(bytes, 0, destination, source, type);
  bytes.set(payload, 14);
  return bytes;
}

/** An IPv4 frame from the guest to the gateway's MAC; every fact has a default. */
export function ipFrame(facts: IpFacts = {}): Uint8Array {
  const payload = facts.payload ?? new Uint8Array(8);
  const packet = new Uint8Array(20 + payload.length);
  const { source = GUEST, destination = OUTSIDE, protocol = 17, ttl = 64 } = facts;
  const { identification = 1, flagsAndOffset = 0 } = facts;
  writeIpv4(
    packet,
    0,
    ipv4Header({ totalLength: packet.length, identification, flagsAndOffset, ttl, protocol, source, destination }),
  );
  packet.set(payload, 20);
  return ethernetFrame(facts.destinationMac ?? GATEWAY_MAC, facts.sourceMac ?? GUEST_MAC, ETHERTYPE_IPV4, packet);
}

export function arpFrame(operation: number, senderMac: number, sender: number, target: number): Uint8Array {
  const packet = new Uint8Array(28);
  writeArp(packet, 0, { operation, senderMac, senderAddress: sender, targetMac: 0, targetAddress: target });
  return ethernetFrame(0xffff_ffff_ffff, senderMac, ETHERTYPE_ARP, packet);
}

/** An ICMP message with its checksum. */
export function icmpMessage(type: number, code: number, rest: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + rest.length);
  bytes[0] = type;
  bytes[1] = code;
  bytes.set(rest, 4);
  writeU16(bytes, 2, foldedComplement(sumBytes(bytes, 0, bytes.length, 0)));
  return bytes;
}

export function echoRequest(identifier: number, sequence: number, data: Uint8Array = new Uint8Array(8)): Uint8Array {
  const rest = new Uint8Array(4 + data.length);
  writeU16(rest, 0, identifier);
  writeU16(rest, 2, sequence);
  rest.set(data, 4);
  return icmpMessage(8, 0, rest);
}

/** Whether the TCP or UDP checksum of an IPv4 frame without options is right. */
export function l4ChecksumValid(frame: Uint8Array): boolean {
  const length = readU16(frame, 16) - 20;
  const read = (at: number): number => readU16(frame, at) * 0x1_0000 + readU16(frame, at + 2);
  return sumBytes(frame, 34, length, pseudoHeaderSum(read(26), read(30), frame[23] ?? 0, length)) === 0xffff;
}

export function bytesOf(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 17 + (i >>> 8)) & 0xff);
}
