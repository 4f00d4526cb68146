import type { GuestSockets } from '../env/guest-sockets.ts';
import type { Frame } from './frame.ts';
import type { Outlet } from './outlet.ts';

/** What is known of a guest when it is attached. */
export interface PortFacts {
  readonly sockets?: GuestSockets | undefined;
  /** An earlier network thread heard it. */
  readonly heard?: boolean | undefined;
}

/** A guest's place at the switch. `rx` is what the guest sent (fromGuest), `tx` what it was sent (toGuest). */
export interface Port {
  /** Small number, unique while attached. */
  readonly id: number;
  /** For people: 'qemu 3 (/run/x.sock)', 'tap0'. */
  readonly name: string;
  /**
   * Who the guest is for whoever counts what it takes, whatever addresses it gives itself: the name, and which of
   * several of that name it is. A guest that comes back, also to another network thread, is the same again.
   */
  readonly attachment: string;
  readonly outlet: Outlet;
  /** Sees the guest's own sockets, where something does. */
  readonly sockets?: GuestSockets | undefined;
  /**
   * It has sent a frame, now or to an earlier network thread. Before, nothing is sent to it unasked: what is in front
   * of its interface may not be ready.
   */
  readonly heard: boolean;
  /** False once detached: whoever keeps a port (a flow, a neighbor) must look before sending. */
  readonly attached: boolean;
  rxFrames: number;
  rxBytes: number;
  txFrames: number;
  txBytes: number;
  /**
   * Hands a frame from the guest to the switch. The frame's bytes must stay in place until the turn's commit phase is
   * over. Never throws on guest bytes.
   */
  receive(frame: Frame): void;
}
