/**
 * Where this turn's in-order text of each flow lies in the receive area: linked lists of pieces in one fixed table. A
 * piece is the text of one frame or of a train: `count` times `length` bytes, `stride` apart.
 * A list lives from the segment's arrival to the same turn's commit.
 */
export class GatherTable {
  readonly at: Int32Array;
  readonly length: Int32Array;
  readonly count: Int32Array;
  readonly stride: Int32Array;
  readonly next: Int32Array;
  /** Pieces in lists now. */
  inUse = 0;
  #free: number;

  /** @param pieces bound of pieces in one turn; a flow that finds none free commits early. */
  constructor(pieces: number) {
    this.at = new Int32Array(pieces);
    this.length = new Int32Array(pieces);
    this.count = new Int32Array(pieces);
    this.stride = new Int32Array(pieces);
    this.next = new Int32Array(pieces);
    for (let i = 0; i < pieces; i++) this.next[i] = i + 1 < pieces ? i + 1 : -1;
    this.#free = 0;
  }

  /** A piece that ends a list, or −1 when the table is full. */
  take(at: number, length: number, count: number, stride: number): number {
    const piece = this.#free;
    if (piece < 0) return -1;
    this.#free = this.next[piece]!;
    this.inUse++;
    this.at[piece] = at;
    this.length[piece] = length;
    this.count[piece] = count;
    this.stride[piece] = stride;
    this.next[piece] = -1;
    return piece;
  }

  /** Gives back one piece; returns the one after it. */
  give(piece: number): number {
    const following = this.next[piece]!;
    this.next[piece] = this.#free;
    this.#free = piece;
    this.inUse--;
    return following;
  }
}
