import { Transform } from 'node:stream';

const SHORT_BYTES = 2;
const LONG_BYTES = 4;
/** The longest frame that u16 can tell. */
const MAX_FRAME = 0xffff;

/** u16 little-endian → u32 big-endian. A length of 0 is no frame and ends the stream with an error. */
export function lengthsFromGuest(): Transform {
  return new Reframing(SHORT_BYTES, LONG_BYTES);
}

/** u32 big-endian → u16 little-endian. The network sends no frame beyond 65,535 bytes. */
export function lengthsForGuest(): Transform {
  return new Reframing(LONG_BYTES, SHORT_BYTES);
}

/**
 * Frames come in any pieces and leave by as many at once as one piece completed. Holds less than one frame between
 * pieces.
 */
class Reframing extends Transform {
  readonly #from: number;
  readonly #to: number;
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** Bytes that the next frame needs with its length; the bytes of a length while that is not known. */
  #needed: number;

  constructor(from: number, to: number) {
    super();
    this.#from = from;
    this.#to = to;
    this.#needed = from;
  }

  override _transform(piece: Buffer, _encoding: string, done: (error?: Error, out?: Buffer) => void): void {
    this.#held.push(piece);
    this.#heldBytes += piece.length;
    if (this.#heldBytes < this.#needed) done();
    else this.#cut(this.#held.length === 1 ? piece : Buffer.concat(this.#held), done);
  }

  #cut(bytes: Buffer, done: (error?: Error, out?: Buffer) => void): void {
    const frames: Buffer[] = [];
    let at = 0;
    this.#needed = this.#from;
    while (bytes.length - at >= this.#from) {
      const length = this.#from === SHORT_BYTES ? bytes.readUInt16LE(at) : bytes.readUInt32BE(at);
      if (length === 0 || length > MAX_FRAME) {
        done(new RangeError(`a frame of ${length} bytes`));
        return;
      }
      if (bytes.length - at < this.#from + length) {
        this.#needed = this.#from + length;
        break;
      }
      frames.push(this.#lengthOf(length), bytes.subarray(at + this.#from, at + this.#from + length));
      at += this.#from + length;
    }
    this.#held = at === bytes.length ? [] : [bytes.subarray(at)];
    this.#heldBytes = bytes.length - at;
    if (frames.length === 0) done();
    else done(undefined, Buffer.concat(frames));
  }

  #lengthOf(frame: number): Buffer {
    const length = Buffer.alloc(this.#to);
    if (this.#to === SHORT_BYTES) length.writeUInt16LE(frame);
    else length.writeUInt32BE(frame);
    return length;
  }
}
