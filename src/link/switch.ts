import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { Log } from '../env/log.ts';
import type { Turn } from '../turn/turn.ts';
import {
  destinationMac,
  ETHERNET_HEADER_BYTES,
  ETHERTYPE_VLAN,
  etherType,
  isMulticastMac,
  sourceMac,
  VLAN_TAG_BYTES,
} from '../wire/ethernet.ts';
import { formatMac } from '../wire/mac.ts';
import { ForwardingDatabase } from './forwarding-database.ts';
import { Frame } from './frame.ts';
import type { Outlet } from './outlet.ts';
import type { Port, PortFacts } from './port.ts';
import { takeOffPriorityTags } from './priority-tag.ts';
import { SoftwareSegmentation } from './segmentation.ts';
import { SwitchPort } from './switch-port.ts';
import type { Uplink } from './uplink.ts';

/** Why the switch dropped a frame; each is a counter. */
export type SwitchDrop =
  | 'switch-runt'
  | 'switch-port-detached'
  | 'switch-bad-source-mac'
  | 'switch-gateway-mac-claimed'
  | 'switch-gateway-address-claimed'
  | 'switch-same-port'
  | 'switch-no-other-port'
  | 'switch-port-full'
  | 'switch-frame-too-big'
  | 'switch-bad-offload';

export interface SwitchOptions {
  readonly arena: Arena;
  readonly turn: Turn;
  readonly counters: Counters;
  readonly log: Log;
  readonly gatewayMac: number;
  readonly uplink: Uplink;
}

/**
 * A learning Ethernet switch (IEEE 802.1D without spanning tree): guests on its ports, the gateway on its uplink.
 *
 * It knows frames, not IP. Unknown unicast, broadcast and multicast are flooded; the gateway hears broadcast and
 * multicast, and of unicast only what is addressed to it. No guest can take the gateway's MAC, or claim its address
 * before the others, by ARP or in packets. What is flooded goes to no port that has not sent a frame yet. A frame for
 * another guest is copied into that guest's outlet at once; if it does not fit there it is dropped, so no port ever
 * waits for another. Tags of VLAN 0 are taken off; those of other VLANs pass between guests and are not for the
 * gateway. What a port leaves out of offloads is done here, by `SoftwareSegmentation`.
 */
export class Switch {
  readonly #arena: Arena;
  readonly #turn: Turn;
  readonly #counters: Counters;
  readonly #log: Log;
  readonly #gatewayMac: number;
  readonly #uplink: Uplink;
  readonly #ports: SwitchPort[] = [];
  readonly #stations: ForwardingDatabase;
  readonly #segmentation: SoftwareSegmentation;
  readonly #copy = new Frame();
  #nextId = 1;

  constructor(options: SwitchOptions) {
    this.#arena = options.arena;
    this.#turn = options.turn;
    this.#counters = options.counters;
    this.#log = options.log;
    this.#gatewayMac = options.gatewayMac;
    this.#uplink = options.uplink;
    this.#stations = new ForwardingDatabase(options.counters);
    this.#segmentation = new SoftwareSegmentation(options.arena);
  }

  /** The ports, in the order in which they were attached. */
  get ports(): readonly Port[] {
    return this.#ports;
  }

  /** Addresses that are known behind ports. */
  get stationCount(): number {
    return this.#stations.size;
  }

  /**
   * A new port for the guest behind `outlet`. `name` is for people. How many there may be is the attachments' bound.
   */
  attach(outlet: Outlet, name: string, facts: PortFacts = {}): Port {
    const port = new SwitchPort(this, this.#nextId++, name, this.#freeOrdinal(name), outlet, facts);
    this.#ports.push(port);
    return port;
  }

  /** The lowest, so that a guest which comes back is who it was. */
  #freeOrdinal(name: string): number {
    const taken = this.#ports.filter((port) => port.name === name).map(({ ordinal }) => ordinal);
    let ordinal = 1;
    while (taken.includes(ordinal)) ordinal++;
    return ordinal;
  }

  /** Takes the port out and forgets what was learned behind it. Idempotent. */
  detach(port: Port): void {
    const index = this.#ports.indexOf(port as SwitchPort);
    const [removed] = index < 0 ? [] : this.#ports.splice(index, 1);
    if (removed === undefined) return;
    removed.attached = false;
    this.#stations.forget(removed);
  }

  /** A frame from the guest behind `port`; called by the port. Never throws on guest bytes. */
  receive(port: SwitchPort, frame: Frame): void {
    const { count } = frame;
    port.rxFrames += count;
    port.rxBytes += frame.length * count;
    port.heard = true;
    takeOffPriorityTags(this.#arena.bytes, frame);
    const refusal = this.#refusal(port, frame);
    if (refusal !== undefined) this.#counters.add(refusal, count);
    else if (count > 1 && destinationMac(this.#arena.bytes, frame.at) !== this.#gatewayMac) this.#unmake(port, frame);
    else this.#forwardOne(port, frame);
  }

  /** A train for another guest goes frame by frame. */
  #unmake(port: SwitchPort, train: Frame): void {
    const { at, length, count, stride } = train;
    for (let i = 0; i < count; i++) {
      train.plain(at + i * stride, length);
      this.#forwardOne(port, train);
    }
  }

  #forwardOne(port: SwitchPort, frame: Frame): void {
    const drop = this.#forward(port, frame);
    if (drop !== undefined) this.#counters.add(drop);
  }

  /** Why a frame is not switched at all. */
  #refusal(port: SwitchPort, frame: Frame): SwitchDrop | undefined {
    if (!port.attached) return 'switch-port-detached';
    if (frame.length < ETHERNET_HEADER_BYTES) return 'switch-runt';
    const source = sourceMac(this.#arena.bytes, frame.at);
    if (source === 0 || isMulticastMac(source)) return 'switch-bad-source-mac';
    if (source === this.#gatewayMac) {
      this.#reportClaim(port);
      return 'switch-gateway-mac-claimed';
    }
    this.#stations.learn(source, port, this.#turn.nowMs);
    return undefined;
  }

  #forward(port: SwitchPort, frame: Frame): SwitchDrop | undefined {
    const destination = destinationMac(this.#arena.bytes, frame.at);
    if (destination === this.#gatewayMac) {
      this.#uplink.receive(port, frame);
      return undefined;
    }
    const claim = this.#uplink.claimsOwnAddress(frame);
    if (isMulticastMac(destination)) {
      // The other guests first: they get what was sent, whatever the gateway makes of its bytes.
      if (!claim) this.#flood(port, frame);
      this.#uplink.receive(port, frame);
      return undefined;
    }
    if (claim) return 'switch-gateway-address-claimed';
    const target = this.#stations.find(destination, this.#turn.nowMs);
    if (target === port) return 'switch-same-port';
    if (target !== undefined) this.#deliver(target, frame);
    else if (this.#flood(port, frame) === 0) return 'switch-no-other-port';
    return undefined;
  }

  /** Returns to how many ports it went: to all that have been heard. */
  #flood(from: SwitchPort, frame: Frame): number {
    let count = 0;
    for (const port of this.#ports) {
      if (port === from || !port.heard) continue;
      this.#deliver(port, frame);
      count++;
    }
    return count;
  }

  /** Copies the frame into the outlet of `port`, cut and checksummed as far as the guest cannot do that itself. */
  #deliver(port: SwitchPort, frame: Frame): void {
    const { outlet } = port;
    const sent = this.#carries(outlet, frame) ? this.#copyWhole(outlet, frame) : this.#segmentation.send(frame, outlet);
    if (typeof sent === 'string') this.#counters.add(sent);
  }

  #copyWhole(outlet: Outlet, frame: Frame): number | SwitchDrop {
    if (!this.#fits(outlet, frame)) return 'switch-frame-too-big';
    const at = outlet.reserve(frame.length);
    if (at < 0) return 'switch-port-full';
    this.#arena.bytes.copyWithin(at, frame.at, frame.at + frame.length);
    const copy = this.#copy;
    copy.plain(at, frame.length);
    copy.needsChecksum = frame.needsChecksum;
    copy.checksumStart = frame.checksumStart;
    copy.checksumOffset = frame.checksumOffset;
    copy.checksumValid = frame.checksumValid;
    copy.gsoSize = frame.gsoSize;
    copy.gsoType = frame.gsoType;
    outlet.commit(copy);
    return 1;
  }

  /** The guest takes the frame's offload facts as they are. */
  #carries(outlet: Outlet, frame: Frame): boolean {
    const { abilities } = outlet;
    if (frame.gsoSize > 0) return frame.gsoType === 'udp' ? abilities.udpSegmentation : abilities.tcpSegmentation;
    return !frame.needsChecksum || abilities.checksum;
  }

  /**
   * Its size is within what the outlet carries and, on the guest's wire, within the MTU: a switch does not fragment.
   */
  #fits(outlet: Outlet, frame: Frame): boolean {
    if (frame.length > outlet.abilities.maxFrameBytes) return false;
    if (frame.gsoSize > 0) return this.#segmentation.fits(frame, outlet.mtu);
    // A tagged frame may be longer than the MTU says.
    const tag = etherType(this.#arena.bytes, frame.at) === ETHERTYPE_VLAN ? VLAN_TAG_BYTES : 0;
    return frame.length <= outlet.mtu + ETHERNET_HEADER_BYTES + tag;
  }

  #reportClaim(port: SwitchPort): void {
    if (port.claimLogged) return;
    port.claimLogged = true;
    this.#log.warn('a guest uses the MAC address of the gateway; its frames are dropped: give it another address', {
      port: port.name,
      mac: formatMac(this.#gatewayMac),
    });
  }
}
