import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { Log } from '../env/log.ts';
import type { Turn } from '../turn/turn.ts';
import type { AttachmentAbilities } from './kinds/kind.ts';
import { ReceiveArea } from './receive-area.ts';

/** Largest Ethernet frame that a guest may hand over: 65,535 bytes of IP packet, header, and one byte to spare. */
export const MAX_FRAME_BYTES = 65_550;

export interface AttachmentLimits {
  /** Guests at once; each costs `outboxBytes` of address space. */
  readonly guests: number;
  /** Frames waiting for one guest. 4 MiB holds one series of 64 frames of 64 KiB. */
  readonly outboxBytes: number;
  /** Frames read in one turn, all guests together. */
  readonly receiveBytes: number;
}

export const DEFAULT_ATTACHMENT_LIMITS: AttachmentLimits = {
  guests: 64,
  outboxBytes: 4 * 2 ** 20,
  receiveBytes: 4 * 2 ** 20,
};

/** How a guest is named, sized and let go. */
export interface AttachmentOptions extends AttachmentAbilities {
  /** For people: 'qemu 3 (/run/x.sock)'. */
  readonly name: string;
  readonly mtu: number;
  /**
   * The attachment ended by itself (end of stream, error, nonsense); its pipe is already closed. Not called by
   * `detach`.
   */
  readonly onDetach: (reason: string) => void;
}

/**
 * Bytes that one guest is read in a turn: it does not starve the rest, and what was read is still in the CPU's cache
 * when it is written on (measured: 2 MiB and 256 KiB both cost more CPU a byte).
 */
export const READ_BYTES: number = 2 ** 20;
/**
 * Frames that one of several guests has looked at in a turn, a train being one and an eighth of one for each that it
 * has.
 */
export const FRAMES_PER_TURN = 128;
/**
 * The same of a guest that is alone: READ_BYTES of frames at the usual MTU, which it need not leave for a second look.
 */
export const FRAMES_OF_A_LONE_GUEST = 1024;
/** A power of two. */
const FRAMES_PER_LOOK = 16;
/** Room for what was read and not looked at, of which the last frame may be cut off. */
const STASH_BYTES = READ_BYTES + 2 * MAX_FRAME_BYTES;

/**
 * Whether to look at the time after so many frames of a turn: often among the first, each of which may cost a socket
 * and keeps all who have as little waiting, later every 16.
 */
export function timeToLook(frames: number): boolean {
  return (frames & (FRAMES_PER_LOOK - 1)) === 0 || (frames & (frames - 1)) === 0;
}

/** One guest's memory in the arena. */
export interface AttachmentRegion {
  readonly outboxAt: number;
  readonly outboxBytes: number;
  /** STASH_BYTES for what a turn leaves of what was read. */
  readonly stashAt: number;
}

/**
 * What attachments share: the receive area, and the regions of arena memory that guests take and give back. The arena
 * never frees, so a detached guest's region is kept for the next one.
 */
export class AttachmentSpace {
  readonly arena: Arena;
  readonly turn: Turn;
  readonly counters: Counters;
  readonly log: Log;
  readonly area: ReceiveArea;
  readonly #limits: AttachmentLimits;
  readonly #free: AttachmentRegion[] = [];
  #inUse = 0;

  /** Throws a RangeError when the arena has no room for the receive area. */
  constructor(
    arena: Arena,
    turn: Turn,
    counters: Counters,
    log: Log,
    limits: AttachmentLimits = DEFAULT_ATTACHMENT_LIMITS,
  ) {
    this.arena = arena;
    this.turn = turn;
    this.counters = counters;
    this.log = log;
    this.area = new ReceiveArea(arena, turn, limits.receiveBytes);
    this.#limits = limits;
  }

  /** Frames that a guest may have looked at in this turn, less if that takes too long (`Turn.late`). */
  get framesPerTurn(): number {
    return this.#inUse > 1 ? FRAMES_PER_TURN : FRAMES_OF_A_LONE_GUEST;
  }

  /** Whether the limit of guests and the arena leave room for one more. */
  hasRoom(): boolean {
    if (this.#inUse >= this.#limits.guests) return false;
    if (this.#free.length > 0) return true;
    const region = this.#allocate();
    if (region !== undefined) this.#free.push(region);
    return region !== undefined;
  }

  /**
   * Memory for the guest called `name`; undefined (counted and logged) when the limit of guests or the arena's end is
   * reached.
   */
  takeRegion(name: string): AttachmentRegion | undefined {
    const region = this.hasRoom() ? this.#free.pop() : undefined;
    if (region === undefined) {
      this.counters.add('attachment-refused-limit');
      this.log.warn(`${name} was turned away: ${this.#inUse} guests are attached, and there is no room for more`, {
        limit: this.#limits.guests,
      });
      return undefined;
    }
    this.#inUse++;
    return region;
  }

  giveRegion(region: AttachmentRegion): void {
    this.#inUse--;
    this.#free.push(region);
  }

  #allocate(): AttachmentRegion | undefined {
    const { outboxBytes } = this.#limits;
    const outboxAt = this.arena.allocate(outboxBytes + STASH_BYTES);
    return outboxAt < 0 ? undefined : { outboxAt, outboxBytes, stashAt: outboxAt + outboxBytes };
  }
}
