import type { Arena } from '../env/arena.ts';
import { Frame } from '../link/frame.ts';
import type { Outlet } from '../link/outlet.ts';
import { ARP_BYTES, ArpPacket, writeArp } from '../wire/arp.ts';
import { ETHERNET_HEADER_BYTES, ETHERTYPE_ARP, writeEthernet } from '../wire/ethernet.ts';

const FRAME_BYTES = ETHERNET_HEADER_BYTES + ARP_BYTES;

/** Sends ARP packets of one sender. */
export class ArpOutput {
  /** What `send` sends: its caller fills it. The sender's MAC is there once for all. */
  readonly packet: ArpPacket = new ArpPacket();
  readonly #arena: Arena;
  readonly #frame = new Frame();

  constructor(arena: Arena, senderMac: number) {
    this.#arena = arena;
    this.packet.senderMac = senderMac;
  }

  /** To the machine with `mac`, or to all. False when the outlet is full. */
  send(outlet: Outlet, mac: number): boolean {
    const at = outlet.reserve(FRAME_BYTES);
    if (at < 0) return false;
    const { bytes } = this.#arena;
    writeEthernet(bytes, at, mac, this.packet.senderMac, ETHERTYPE_ARP);
    writeArp(bytes, at + ETHERNET_HEADER_BYTES, this.packet);
    this.#frame.plain(at, FRAME_BYTES);
    outlet.commit(this.#frame);
    return true;
  }
}
