import { Frame } from '../link/frame.ts';
import { VIRTIO_NET_HEADER_BYTES } from '../wire/virtio-net.ts';
import type { AttachmentOptions, AttachmentRegion, AttachmentSpace } from './attachment-space.ts';
import { FramePipeAttachment } from './frame-pipe-attachment.ts';
import { FrameFacts, TapFraming } from './tap-framing.ts';

/**
 * A guest behind a tap device opened with IFF_VNET_HDR: each frame, both ways, follows ten bytes of virtio-net header
 * with its offload facts, so segments of 64 KiB cross at any MTU and checksums are left to the kernel.
 *
 * A tap takes every frame: what the guest's queue has no room for is lost inside the kernel, unseen. A frame with a
 * header that contradicts it, from either side, is dropped and counted ('tap-bad-virtio-header', 'tap-frame-refused').
 *
 * States: made → started (`start`) → detached, for good.
 */
export class TapAttachment extends FramePipeAttachment {
  readonly #frame = new Frame();
  readonly #facts = new FrameFacts();

  /**
   * With the offloads that the kernel granted. Undefined when there is no room for another guest (counted and logged).
   */
  static make(space: AttachmentSpace, options: AttachmentOptions): TapAttachment | undefined {
    const region = space.takeRegion(options.name);
    return region === undefined ? undefined : new TapAttachment(space, region, options);
  }

  private constructor(space: AttachmentSpace, region: AttachmentRegion, options: AttachmentOptions) {
    const { arena, counters } = space;
    super(space, region, options, new TapFraming(arena, counters), VIRTIO_NET_HEADER_BYTES + options.maxFrameBytes);
  }

  protected override receive(at: number, end: number): void {
    const port = this.port;
    if (port === undefined) return;
    if (at === end) this.end('the tap device is gone');
    else if (this.#facts.read(this.space.arena.bytes, at, end, this.#frame)) port.receive(this.#frame);
    else this.space.counters.add('tap-bad-virtio-header');
  }
}
