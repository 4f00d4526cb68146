import type { GuestSockets } from '../env/guest-sockets.ts';
import type { Frame } from './frame.ts';
import type { Outlet } from './outlet.ts';
import type { Port, PortFacts } from './port.ts';

/** A MAC address and the port behind which it was heard; `port` is undefined once the entry is out of the table. */
export interface Station {
  readonly mac: number;
  port: SwitchPort | undefined;
  seenMs: number;
}

/** Where a port hands its frames: the switch that it belongs to. */
export interface PortOwner {
  receive(port: SwitchPort, frame: Frame): void;
}

/** A port of `Switch`. Only the switch makes one. */
export class SwitchPort implements Port {
  readonly id: number;
  readonly name: string;
  /** Which of those of its name, from 1. */
  readonly ordinal: number;
  readonly attachment: string;
  readonly outlet: Outlet;
  readonly sockets: GuestSockets | undefined;
  heard: boolean;
  attached = true;
  rxFrames = 0;
  rxBytes = 0;
  txFrames = 0;
  txBytes = 0;
  /** Addresses that the forwarding database holds for this port. */
  stations = 0;
  /** The address heard last, so that a run of frames from one guest costs no look-up. */
  recent: Station | undefined;
  /** The log has said that this port claims the gateway's MAC. */
  claimLogged = false;
  readonly #owner: PortOwner;

  constructor(owner: PortOwner, id: number, name: string, ordinal: number, outlet: Outlet, facts: PortFacts) {
    this.#owner = owner;
    this.id = id;
    this.name = name;
    this.ordinal = ordinal;
    this.attachment = ordinal === 1 ? name : `${name} #${ordinal}`;
    this.outlet = outlet;
    this.sockets = facts.sockets;
    this.heard = facts.heard === true;
  }

  receive(frame: Frame): void {
    this.#owner.receive(this, frame);
  }
}
