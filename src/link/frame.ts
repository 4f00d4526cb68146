/**
 * An Ethernet frame in the arena together with the offload facts that travel beside it (the meaning of
 * `struct virtio_net_hdr`, virtio 1.2 §5.1.6). The core thinks in segments with a gso size: a frame may be longer than
 * the MTU, and what carries `gsoSize` or `needsChecksum` is cut and checksummed where it leaves for a plain port.
 *
 * One mutable record per attachment is reused for every frame: valid only during the call that it is passed to.
 */
export class Frame {
  /** Offset in the arena of the destination MAC. */
  at = 0;
  /** Bytes, Ethernet header included, FCS excluded. */
  length = 0;
  /**
   * The L4 checksum field holds only the pseudo-header's sum: whoever takes the frame out of the arena completes it.
   */
  needsChecksum = false;
  /** With needsChecksum: where the L4 header starts and where in it the checksum lies, from `at`. */
  checksumStart = 0;
  checksumOffset = 0;
  /**
   * Checksums are known to be right and need no look (set by a tap whose kernel checked, or that came through memory).
   */
  checksumValid = false;
  /** 0: an ordinary frame. Otherwise the payload bytes of each wire segment that this super-segment stands for. */
  gsoSize = 0;
  /** With gsoSize: what the payload is. */
  gsoType: 'none' | 'tcp4' | 'tcp6' | 'udp' = 'none';
  /**
   * Frames that this record stands for (a train, see `Arena.train`): number i lies at `at + i * stride`, each `length`
   * bytes, text of one TCP flow in sequence. The checksums of all but the first are known to be right.
   */
  count = 1;
  /** With count above 1: bytes from one frame to the next. */
  stride = 0;

  /** Makes it an ordinary frame without offloads. */
  plain(at: number, length: number): void {
    this.at = at;
    this.length = length;
    this.needsChecksum = false;
    this.checksumStart = 0;
    this.checksumOffset = 0;
    this.checksumValid = false;
    this.gsoSize = 0;
    this.gsoType = 'none';
    this.count = 1;
    this.stride = 0;
  }
}
