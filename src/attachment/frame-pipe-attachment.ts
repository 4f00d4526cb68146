import { FAILED, WOULD_BLOCK } from '../env/host.ts';
import {
  type AttachmentOptions,
  type AttachmentRegion,
  type AttachmentSpace,
  READ_BYTES,
  timeToLook,
} from './attachment-space.ts';
import type { FrameFraming } from './frame-framing.ts';
import { PipeAttachment } from './pipe-attachment.ts';

/**
 * A guest on a pipe that keeps frames apart: one frame a read, up to `framesPerTurn` or READ_BYTES a turn, until the
 * pipe says WOULD_BLOCK (there is no new edge before).
 */
export abstract class FramePipeAttachment extends PipeAttachment {
  readonly #slotBytes: number;

  /** `slotBytes`: the longest read. */
  protected constructor(
    space: AttachmentSpace,
    region: AttachmentRegion,
    options: AttachmentOptions,
    framing: FrameFraming,
    slotBytes: number,
  ) {
    super(space, region, options, framing);
    this.#slotBytes = slotBytes;
  }

  protected override read(): void {
    const { area, framesPerTurn, turn } = this.space;
    const slotBytes = this.#slotBytes;
    if (area.freeBytes < slotBytes) {
      area.turnAway(this.reader);
      return;
    }
    let bytes = 0;
    for (let frames = 0; frames < framesPerTurn && bytes < READ_BYTES && area.freeBytes >= slotBytes; frames++) {
      const pipe = this.pipe;
      if (pipe === undefined) return;
      const at = area.at;
      const count = pipe.read(at, slotBytes);
      if (count === WOULD_BLOCK) return;
      if (count === FAILED) {
        this.end(pipe.error ?? 'EIO');
        return;
      }
      bytes += count;
      area.take(count);
      this.receive(at, at + count);
      if (timeToLook(frames + 1) && turn.late) break;
    }
    area.again(this.reader);
  }

  /** What one read brought lies in [at, end). May end the attachment. */
  protected abstract receive(at: number, end: number): void;
}
