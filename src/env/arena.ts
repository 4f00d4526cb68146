/**
 * The one block of memory that holds every frame, header table and overflow chunk.
 *
 * A position is an *offset* into it: TypeScript reads it through `bytes`/`view`, the checksum routine and the kernel
 * through offset + base address. The block never moves, grows or detaches, so an offset stays valid for the process's
 * life.
 */
export interface Arena {
  /** The whole arena. */
  readonly bytes: Uint8Array;
  /** The same bytes, for big-endian (network) and little-endian (kernel struct) fields. */
  readonly view: DataView;
  /**
   * Ones' complement sum of `length` bytes at `at`, big-endian 16-bit words, an odd last byte padded with zero, added
   * to `initial` (a folded or unfolded sum). Returns it folded to 16 bits, *not* complemented. RFC 1071.
   * Never reads outside [at, at + length).
   */
  sum(at: number, length: number, initial: number): number;
  /**
   * How many frames from `at` on make a train: what generic receive offload would merge. The frames lie one after the
   * other, each behind its length (u32 big-endian), all `length` bytes long, whole below `end`; all are text of one TCP
   * flow in sequence, with headers that differ in nothing but identification, sequence number, PSH and checksums.
   * Checksums of the first are not looked at, those of the others are right. At least 1: anything else is a train by
   * itself.
   */
  train(at: number, length: number, end: number): number;
  /**
   * Sets `length` bytes aside for good, on a 64-byte boundary, and returns their offset; −1 when the arena is full.
   * Called while the network is assembled and when a guest attaches, never per packet. Pages cost memory only once
   * touched.
   */
  allocate(length: number): number;
}
