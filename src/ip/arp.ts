/**
 * ARP for the gateway's own addresses (RFC 826). Answers requests and probes (RFC 5227 §2.1.1: sender 0.0.0.0) for
 * them, learns guests from whatever they say, gratuitous announcements included. It never asks: a guest that was not
 * heard has no flows. A guest that claims one of our addresses is not believed, counted, and named in the log once.
 */
import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { Log } from '../env/log.ts';
import type { Frame } from '../link/frame.ts';
import type { Port } from '../link/port.ts';
import type { Turn } from '../turn/turn.ts';
import { ARP_REPLY, ARP_REQUEST, type ArpFault, ArpPacket, parseArp } from '../wire/arp.ts';
import { ETHERNET_HEADER_BYTES, isMulticastMac } from '../wire/ethernet.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { ArpOutput } from './arp-output.ts';
import type { NeighborCache } from './neighbor-cache.ts';
import type { OwnAddresses } from './own-addresses.ts';

/** What became of an ARP frame; each is a counter. */
export type ArpOutcome =
  | ArpFault
  | 'arp-answered'
  | 'arp-learned'
  | 'arp-not-for-us'
  | 'arp-bad-operation'
  | 'arp-bad-sender-mac'
  | 'arp-gateway-address-claimed'
  | 'arp-spoofed-sender'
  | 'arp-address-in-use'
  | 'arp-reply-port-full';

export interface ArpOptions {
  readonly arena: Arena;
  readonly turn: Turn;
  readonly counters: Counters;
  readonly log: Log;
  readonly gatewayMac: number;
  readonly own: OwnAddresses;
  readonly neighbors: NeighborCache;
  /** Whether a guest may have this address. */
  readonly isGuestAddress: (address: number) => boolean;
}

export class Arp {
  readonly #options: ArpOptions;
  readonly #packet = new ArpPacket();
  readonly #output: ArpOutput;
  readonly #claimsLogged = new WeakSet<Port>();

  constructor(options: ArpOptions) {
    this.#options = options;
    this.#output = new ArpOutput(options.arena, options.gatewayMac);
  }

  /** A frame with EtherType ARP. Never throws on guest bytes. */
  receive(port: Port, frame: Frame): void {
    const { arena, counters } = this.#options;
    const at = frame.at + ETHERNET_HEADER_BYTES;
    const fault = parseArp(arena.bytes, at, frame.at + frame.length, this.#packet);
    counters.add(fault ?? this.#handle(port));
  }

  /** Whether the packet in [at, end) says that one of our addresses is its sender's. */
  claimsOwnAddress(at: number, end: number): boolean {
    const { arena, own } = this.#options;
    if (parseArp(arena.bytes, at, end, this.#packet) !== undefined) return false;
    return own.has(this.#packet.senderAddress);
  }

  #handle(port: Port): ArpOutcome {
    const { own, neighbors, turn, isGuestAddress } = this.#options;
    const { operation, senderMac, senderAddress, targetAddress } = this.#packet;
    if (operation !== ARP_REQUEST && operation !== ARP_REPLY) return 'arp-bad-operation';
    if (senderMac === 0 || isMulticastMac(senderMac)) return 'arp-bad-sender-mac';
    const probe = senderAddress === 0 && operation === ARP_REQUEST;
    if (own.has(senderAddress)) {
      this.#reportClaim(port);
      return 'arp-gateway-address-claimed';
    }
    if (!probe) {
      if (!isGuestAddress(senderAddress)) return 'arp-spoofed-sender';
      if (neighbors.learn(senderAddress, senderMac, port, turn.nowMs) === undefined) return 'arp-address-in-use';
    }
    if (operation === ARP_REQUEST && own.has(targetAddress)) return this.#answer(port);
    return probe ? 'arp-not-for-us' : 'arp-learned';
  }

  #answer(port: Port): ArpOutcome {
    const { senderMac, senderAddress, targetAddress } = this.#packet;
    const reply = this.#output.packet;
    reply.operation = ARP_REPLY;
    reply.senderAddress = targetAddress;
    reply.targetMac = senderMac;
    reply.targetAddress = senderAddress;
    if (!this.#output.send(port.outlet, senderMac)) return 'arp-reply-port-full';
    return 'arp-answered';
  }

  #reportClaim(port: Port): void {
    if (this.#claimsLogged.has(port)) return;
    this.#claimsLogged.add(port);
    this.#options.log.warn(
      'a guest claims an address of the gateway by ARP; it is ignored: give the guest another address',
      {
        port: port.name,
        address: formatIpv4Address(this.#packet.senderAddress),
      },
    );
  }
}
