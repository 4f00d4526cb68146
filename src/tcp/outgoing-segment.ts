import { TCP_HEADER_BYTES, TcpHeader } from '../wire/tcp.ts';
import type { Ranges } from './ranges.ts';

/**
 * A segment to a guest, beside its addresses and ports. There is one, of `SegmentOutput`, for all segments of a
 * network: `begin` hands it out cleared, its caller fills in what the segment says and gives it back at once to be
 * sent.
 */
export class OutgoingSegment extends TcpHeader {
  /** Ranges to report by SACK; not on a SYN, nor with text. */
  held: Ranges | undefined = undefined;
  /** With text: the place of the frame that its outlet reserved. The text begins SEGMENT_HEADER_BYTES after it. */
  frameAt = 0;
  textBytes = 0;
  /** Text bytes of one segment on the wire (more text is a super-segment); on a SYN, what we offer to take. */
  mss = 0;
  /** On a SYN: −1 offers none. */
  windowScale = -1;
  /** On a SYN. */
  sackPermitted = false;

  /** Makes it a bare segment with these flags; what is not filled in is 0. */
  clear(flags: number): void {
    this.flags = flags;
    this.sequence = 0;
    this.acknowledgment = 0;
    this.window = 0;
    this.headerBytes = TCP_HEADER_BYTES;
    this.held = undefined;
    this.frameAt = 0;
    this.textBytes = 0;
    this.mss = 0;
    this.windowScale = -1;
    this.sackPermitted = false;
  }
}
