import type { AddressProber } from '../dhcp/conflict-probes.ts';
import type { Arena } from '../env/arena.ts';
import { Frame } from '../link/frame.ts';
import type { Port } from '../link/port.ts';
import { ARP_BYTES, ARP_REQUEST, writeArp } from '../wire/arp.ts';
import { BROADCAST_MAC, ETHERNET_HEADER_BYTES, ETHERTYPE_ARP, writeEthernet } from '../wire/ethernet.ts';

const FRAME_BYTES = ETHERNET_HEADER_BYTES + ARP_BYTES;

/** Asks all guests that have been heard who has an address. Who answers is learned as a neighbor, like whoever speaks. */
export class ArpProber implements AddressProber {
  readonly #arena: Arena;
  readonly #gatewayMac: number;
  readonly #ports: () => readonly Port[];
  readonly #frame = new Frame();

  constructor(arena: Arena, gatewayMac: number, ports: () => readonly Port[]) {
    this.#arena = arena;
    this.#gatewayMac = gatewayMac;
    this.#ports = ports;
  }

  /** The sender address is 0.0.0.0, so no one's ARP cache changes (RFC 5227 §2.1.1). A port whose queue is full is left out. */
  probe(address: number): void {
    this.#ask(address, 0);
  }

  /** Asks as `sender`, one of our own addresses: who answers knows then where its own answers go (RFC 826). False when there is nobody to ask. */
  ask(address: number, sender: number): boolean {
    return this.#ask(address, sender);
  }

  #ask(address: number, sender: number): boolean {
    const { bytes } = this.#arena;
    let asked = false;
    for (const { outlet, heard } of this.#ports()) {
      if (!heard) continue;
      asked = true;
      const at = outlet.reserve(FRAME_BYTES);
      if (at < 0) continue;
      writeEthernet(bytes, at, BROADCAST_MAC, this.#gatewayMac, ETHERTYPE_ARP);
      writeArp(bytes, at + ETHERNET_HEADER_BYTES, ARP_REQUEST, this.#gatewayMac, sender, 0, address);
      this.#frame.plain(at, FRAME_BYTES);
      outlet.commit(this.#frame);
    }
    return asked;
  }
}
