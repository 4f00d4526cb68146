import { FAILED, type HostPipe, WOULD_BLOCK } from '../env/host.ts';
import { Frame } from '../link/frame.ts';
import type { Port } from '../link/port.ts';
import {
  type AttachmentOptions,
  type AttachmentRegion,
  type AttachmentSpace,
  READ_BYTES,
  timeToLook,
} from './attachment-space.ts';
import { describeStranger } from './describe-stranger.ts';
import type { Outbox } from './outbox.ts';
import { PipeAttachment } from './pipe-attachment.ts';
import type { DrainResult, Framing } from './pipe-outlet.ts';

/** u32 big-endian length before each frame. */
const LENGTH_BYTES = 4;
/** An Ethernet header. */
const MIN_FRAME_BYTES = 14;
/** Below this a read is not worth its system call: the guest waits for the next turn. */
const MIN_READ_BYTES = 128 * 1024;
/** Reads a turn: a long frame that is cut off need not be moved when its end is there too, be it beyond READ_BYTES. */
const MAX_READS = 4;
/** So many frames of a train cost as much as one by itself. */
const TRAIN_SHIFT = 3;
/** A shorter frame is moved sooner than another system call is made. */
const MIN_READ_ON_BYTES = 8 * 1024;

/**
 * A guest on a stream socket that speaks QEMU's `-netdev stream` protocol: each frame after its length, u32 big-endian.
 *
 * Reading: about 1 MiB a turn into the shared receive area, by one read, and up to three more while a long frame is cut
 * off; frames are handed to the port where they lie. The length is checked before anything is kept: a guest that sends
 * another is detached, with one log line that shows its bytes. A turn looks at `framesPerTurn`; what it leaves, be it
 * only a frame that is still cut off (at most 64 KiB), goes to the stash. While whole frames wait there nothing is
 * read: the guest's socket fills up. Writing: the outbox holds frames with their lengths back to back, so one write
 * sends all that waits.
 *
 * States: made → started (`start`) → detached, for good; the region then serves the next guest. Frames of guests are
 * accepted up to `maxFrameBytes` whatever the MTU: a guest with a larger one is no stranger.
 */
export class QemuStreamAttachment extends PipeAttachment {
  readonly #frame = new Frame();
  readonly #maxFrameBytes: number;
  /** What lies in the stash: bytes, and where they begin. */
  #stashed = 0;
  #stashedAt = 0;
  /** The stash holds more than a frame that is cut off, or a length that cannot be. */
  #behind = false;
  /** Frames that may be looked at yet in this turn. */
  #left = 0;

  /** Undefined when there is no room for another guest (counted and logged). */
  static make(space: AttachmentSpace, options: AttachmentOptions): QemuStreamAttachment | undefined {
    const region = space.takeRegion(options.name);
    return region === undefined ? undefined : new QemuStreamAttachment(space, region, options);
  }

  private constructor(space: AttachmentSpace, region: AttachmentRegion, options: AttachmentOptions) {
    super(space, region, options, lengthFraming(space.arena.view));
    this.#maxFrameBytes = options.maxFrameBytes;
  }

  protected override read(): void {
    const pipe = this.pipe;
    const port = this.port;
    if (pipe === undefined || port === undefined) return;
    this.#left = this.space.framesPerTurn;
    const area = this.space.area;
    if (this.#behind) {
      this.#catchUp(port);
      return;
    }
    const free = area.freeBytes;
    if (free < MIN_READ_BYTES) {
      area.turnAway(this.reader);
      return;
    }
    const at = area.at;
    let limit = at + Math.min(READ_BYTES, free);
    let end = at + this.#stashed;
    let start = at;
    let full = false;
    for (let reads = 0; reads < MAX_READS && end < limit; reads++) {
      const count = pipe.read(end, limit - end);
      full = count === limit - end;
      if (count === WOULD_BLOCK) break;
      if (count <= 0) {
        this.end(count === FAILED ? (pipe.error ?? 'EIO') : 'the guest closed the connection');
        return;
      }
      if (reads === 0) this.#unstash(at);
      end += count;
      area.take(end - area.at);
      start = this.#cut(port, start, end);
      // What a frame sets off may detach this guest (a policy, a failed pipe): its stash is then another's.
      if (!this.started) return;
      const frameEnd = this.#frameEnd(start, end);
      if (frameEnd - start < MIN_READ_ON_BYTES || this.#left <= 0) break;
      limit = Math.min(Math.max(limit, frameEnd), at + free);
    }
    if (start < end && this.#stashed === 0) this.#stash(start, end);
    if (full || this.#behind) area.again(this.reader);
  }

  /** Looks at what earlier turns left, where it lies: it stays until this turn is over. */
  #catchUp(port: Port): void {
    const end = this.#stashedAt + this.#stashed;
    const start = this.#cut(port, this.#stashedAt, end);
    if (!this.started) return;
    this.#keep(start, end);
    this.space.area.again(this.reader);
  }

  /** Where the frame at `start` ends, as far as it is known. */
  #frameEnd(start: number, end: number): number {
    return end - start < LENGTH_BYTES ? end : start + LENGTH_BYTES + this.space.arena.view.getUint32(start);
  }

  /** The frame that the last turn's reads cut off goes to `at`, before what was read behind it. */
  #unstash(at: number): void {
    this.space.arena.bytes.copyWithin(at, this.#stashedAt, this.#stashedAt + this.#stashed);
    this.#stashed = 0;
  }

  #stash(start: number, end: number): void {
    const { stashAt } = this.region;
    this.space.arena.bytes.copyWithin(stashAt, start, end);
    this.#keep(stashAt, stashAt + end - start);
  }

  /** [start, end) of the stash waits for the next turn. */
  #keep(start: number, end: number): void {
    this.#stashedAt = start;
    this.#stashed = end - start;
    const frameEnd = this.#frameEnd(start, end);
    this.#behind =
      end - start >= LENGTH_BYTES && (frameEnd <= end || frameEnd - start > LENGTH_BYTES + this.#maxFrameBytes);
  }

  /** Hands every whole frame in [at, end) to the port; returns where the rest begins. */
  #cut(port: Port, start: number, end: number): number {
    const { view } = this.space.arena;
    let at = start;
    let frames = 0;
    while (end - at >= LENGTH_BYTES && this.#left > 0) {
      const length = view.getUint32(at);
      if (length < MIN_FRAME_BYTES || length > this.#maxFrameBytes) {
        this.#turnOut(at, end, length);
        break;
      }
      if (end - at - LENGTH_BYTES < length) break;
      const frame = this.#frame;
      frame.plain(at + LENGTH_BYTES, length);
      // Frames of one bulk flow come in runs: the stack looks at such a run once (as a NIC's receive offload merges
      // it).
      frame.count = this.space.arena.train(frame.at, length, end);
      frame.stride = LENGTH_BYTES + length;
      at += frame.count * frame.stride;
      this.#left -= 1 + (frame.count >> TRAIN_SHIFT);
      port.receive(frame);
      if (!this.started) break;
      if (timeToLook(++frames) && this.space.turn.late) this.#left = 0;
    }
    return at;
  }

  #turnOut(at: number, end: number, length: number): void {
    this.space.counters.add('qemu-bad-frame-length');
    const stranger = describeStranger(this.space.arena.bytes, at, end);
    const hint =
      stranger.peer === undefined ? '' : `: this port speaks QEMU's stream protocol; ${stranger.peer} connected`;
    this.space.log.warn(`${this.name} sent a frame length of ${length}, which is impossible, and was detached${hint}`, {
      hex: stranger.hex,
      ascii: stranger.ascii,
    });
    this.end(`bad frame length ${length}`);
  }
}

/** One write sends all frames that lie in one piece; a wrapped ring takes two. */
function lengthFraming(view: DataView): Framing {
  return {
    prefixBytes: LENGTH_BYTES,
    writePrefix(at: number, frame: Frame): void {
      view.setUint32(at - LENGTH_BYTES, frame.length);
    },
    drain(outbox: Outbox, pipe: HostPipe): DrainResult {
      for (let waiting = outbox.chunkBytes; waiting > 0; waiting = outbox.chunkBytes) {
        const taken = pipe.write(outbox.chunkAt, waiting);
        if (taken < 0) return 'failed';
        outbox.consume(taken);
        if (taken < waiting) return 'blocked';
      }
      return 'drained';
    },
  };
}
