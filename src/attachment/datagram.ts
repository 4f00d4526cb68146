import { Frame } from '../link/frame.ts';
import { latin1From } from '../wire/bytes.ts';
import { ETHERNET_HEADER_BYTES } from '../wire/ethernet.ts';
import type { AttachmentOptions, AttachmentRegion, AttachmentSpace } from './attachment-space.ts';
import { describeStranger } from './describe-stranger.ts';
import { FrameFraming } from './frame-framing.ts';
import { FramePipeAttachment } from './frame-pipe-attachment.ts';

/**
 * A guest on a datagram socket: one datagram is one frame, both ways. A datagram that is not a frame is dropped and
 * counted ('datagram-runt', 'datagram-oversized'), but for the first datagram of a guest: it shows who is there. It may
 * be the greeting of the guest's kind, which nothing answers; otherwise a datagram that is not a frame comes from a
 * stranger, which is detached with a log line that shows its bytes.
 *
 * States: made → started (`start`) → detached, for good.
 */
export class DatagramAttachment extends FramePipeAttachment {
  readonly #frame = new Frame();
  readonly #maxFrameBytes: number;
  readonly #greeting: string;
  #heard = false;

  /** Undefined when there is no room for another guest (counted and logged). */
  static make(space: AttachmentSpace, options: AttachmentOptions): DatagramAttachment | undefined {
    const region = space.takeRegion(options.name);
    return region === undefined ? undefined : new DatagramAttachment(space, region, options);
  }

  private constructor(space: AttachmentSpace, region: AttachmentRegion, options: AttachmentOptions) {
    const { arena, counters } = space;
    const framing = new FrameFraming({ arena, counters, refused: 'datagram-frame-refused' });
    // One byte more shows a datagram that is longer.
    super(space, region, options, framing, options.maxFrameBytes + 1);
    this.#maxFrameBytes = options.maxFrameBytes;
    this.#greeting = options.greeting ?? '';
  }

  protected override receive(at: number, end: number): void {
    const port = this.port;
    if (port === undefined) return;
    const length = end - at;
    const isFirst = !this.#heard;
    this.#heard = true;
    if (length >= ETHERNET_HEADER_BYTES && length <= this.#maxFrameBytes) {
      this.#frame.plain(at, length);
      port.receive(this.#frame);
      return;
    }
    if (isFirst && this.#isGreeting(at, length)) return;
    this.space.counters.add(length < ETHERNET_HEADER_BYTES ? 'datagram-runt' : 'datagram-oversized');
    if (isFirst) this.#turnOut(at, end);
  }

  #isGreeting(at: number, length: number): boolean {
    const greeting = this.#greeting;
    return length > 0 && length === greeting.length && latin1From(this.space.arena.bytes, at, length) === greeting;
  }

  #turnOut(at: number, end: number): void {
    const { hex, ascii } = describeStranger(this.space.arena.bytes, at, end);
    const said = `began with a datagram of ${end - at} bytes, which is not a frame`;
    this.space.log.warn(`${this.name} ${said}, and was detached`, { hex, ascii });
    this.end('its first datagram is not a frame');
  }
}
