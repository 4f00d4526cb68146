import { FAILED, WOULD_BLOCK } from '../env/host.ts';
import { Frame } from '../link/frame.ts';
import { VIRTIO_NET_HEADER_BYTES } from '../wire/virtio-net.ts';
import {
  type AttachmentOptions,
  type AttachmentRegion,
  type AttachmentSpace,
  MAX_FRAME_BYTES,
  READ_BYTES,
  timeToLook,
} from './attachment-space.ts';
import { PipeAttachment } from './pipe-attachment.ts';
import { FrameFacts, TapFraming } from './tap-framing.ts';

const SLOT_BYTES = VIRTIO_NET_HEADER_BYTES + MAX_FRAME_BYTES;

/**
 * A guest behind a tap device opened with IFF_VNET_HDR: before each frame, both ways, stand ten bytes of virtio-net
 * header with its offload facts, so segments of 64 KiB cross at any MTU and checksums are left to the kernel.
 *
 * One frame a read, up to `framesPerTurn` or READ_BYTES a turn, until the tap says WOULD_BLOCK (there is no new edge
 * before). A tap takes every frame: what the guest's queue has no room for is lost inside the kernel, unseen. A frame
 * with a header that contradicts it, from either side, is dropped and counted ('tap-bad-virtio-header',
 * 'tap-frame-refused').
 *
 * States: made → started (`start`) → detached, for good.
 */
export class TapAttachment extends PipeAttachment {
  readonly #frame = new Frame();
  readonly #facts = new FrameFacts();

  /** With the offloads that the kernel granted. Undefined when there is no room for another guest (counted and logged). */
  static make(space: AttachmentSpace, options: AttachmentOptions): TapAttachment | undefined {
    const region = space.takeRegion(options.name);
    return region === undefined ? undefined : new TapAttachment(space, region, options);
  }

  private constructor(space: AttachmentSpace, region: AttachmentRegion, options: AttachmentOptions) {
    super(space, region, options, new TapFraming(space.arena, space.counters));
  }

  protected override read(): void {
    const { area, framesPerTurn, turn } = this.space;
    if (area.freeBytes < SLOT_BYTES) {
      area.turnAway(this.reader);
      return;
    }
    let bytes = 0;
    for (let frames = 0; frames < framesPerTurn && bytes < READ_BYTES && area.freeBytes >= SLOT_BYTES; frames++) {
      const pipe = this.pipe;
      if (pipe === undefined) return;
      const at = area.at;
      const count = pipe.read(at, SLOT_BYTES);
      if (count === WOULD_BLOCK) return;
      if (count <= 0) {
        this.end(count === FAILED ? (pipe.error ?? 'EIO') : 'the tap device is gone');
        return;
      }
      bytes += count;
      area.take(count);
      this.#receive(at, at + count);
      if (timeToLook(frames + 1) && turn.late) break;
    }
    area.again(this.reader);
  }

  #receive(at: number, end: number): void {
    const port = this.port;
    if (port === undefined) return;
    if (this.#facts.read(this.space.arena.bytes, at, end, this.#frame)) port.receive(this.#frame);
    else this.space.counters.add('tap-bad-virtio-header');
  }
}
