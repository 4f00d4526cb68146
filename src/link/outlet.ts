import type { Offloads } from '../env/offloads.ts';
import type { Frame } from './frame.ts';

/** What a port can carry towards its guest. */
export interface OutletAbilities extends Offloads {
  /** Largest Ethernet frame, header included: MTU + 14, or 65,550 (64 KiB and headers) with segmentation offload. */
  readonly maxFrameBytes: number;
}

/**
 * The sending side of a port, towards one guest. Frames are laid out in the outlet's own arena region before they are
 * filled, so payload can be peeked from the host straight into place.
 *
 * Protocol: `reserve` one or more frames, fill them, `commit` them in the order of reservation, then `cancel` what is
 * left. A commit shorter than its reservation implies cancel of the rest. Nothing else may reserve in between.
 */
export interface Outlet {
  readonly abilities: OutletAbilities;
  /** MTU of the guest's interface in bytes. */
  readonly mtu: number;
  /**
   * Room for a frame of up to `length` bytes; its offset, or −1 when the outlet is full (the caller is then told by
   * `whenWritable`).
   */
  reserve(length: number): number;
  /**
   * Distance in bytes between two reservations of `length` made one after the other (framing and alignment included).
   */
  stride(length: number): number;
  /**
   * Queues the oldest reserved frame: `frame.at` is its reservation, `frame.length` ≤ reserved. Offload facts must be
   * within abilities.
   */
  commit(frame: Frame): void;
  /** Gives back every reservation not committed. */
  cancel(): void;
  /** Calls `waiter.outletWritable()` once, in a later turn, when there is room again. A waiter is kept at most once. */
  whenWritable(waiter: OutletWaiter): void;
}

export interface OutletWaiter {
  outletWritable(): void;
}
