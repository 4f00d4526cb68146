import type { GuestSockets } from '../env/guest-sockets.ts';
import type { Frame } from './frame.ts';
import type { Outlet } from './outlet.ts';

/** A guest's place at the switch. `rx` is what the guest sent (fromGuest), `tx` what it was sent (toGuest). */
export interface Port {
  /** Small number, unique while attached. */
  readonly id: number;
  /** For people: 'qemu 3 (/run/x.sock)', 'tap0'. */
  readonly name: string;
  /**
   * Who the guest is for whoever counts what it takes, whatever addresses it gives itself: the name, and which of several of that name it is.
   * A guest that comes back, also to another network thread, is the same again.
   */
  readonly attachment: string;
  readonly outlet: Outlet;
  /** Sees the guest's own sockets, where something does. */
  readonly sockets?: GuestSockets | undefined;
  /** False once detached: whoever keeps a port (a flow, a neighbor) must look before sending. */
  readonly attached: boolean;
  rxFrames: number;
  rxBytes: number;
  txFrames: number;
  txBytes: number;
  /** Hands a frame from the guest to the switch. The frame's bytes must stay in place until the turn's commit phase is over. Never throws on guest bytes. */
  receive(frame: Frame): void;
}
