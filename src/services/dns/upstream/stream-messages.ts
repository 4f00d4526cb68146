import { readU16, writeU16 } from '../../../wire/bytes.ts';

/** A message as DNS over TCP has it (RFC 1035 §4.2.2). */
export function withLength(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(2 + message.length);
  writeU16(framed, 0, message.length);
  framed.set(message, 2);
  return framed;
}

/**
 * Each piece costs some hundred bytes beside its own: a message that comes byte by byte must not make 65,537 of them.
 */
const MAX_PIECES = 256;

/**
 * Cuts a stream into messages. Holds at most one message that is not whole, so 65,537 bytes, plus what one `push`
 * brought.
 */
export class StreamMessages {
  #pieces: Uint8Array[] = [];
  #held = 0;

  /** `bytes` may be kept until the next call of `next`. */
  push(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
    this.#held += bytes.length;
    if (this.#pieces.length > MAX_PIECES) this.#pieces = [this.#join()];
  }

  /** The next whole message, in memory of its own; undefined when more bytes must come. */
  next(): Uint8Array | undefined {
    if (this.#held < 2) return undefined;
    const length = this.#length();
    if (this.#held < 2 + length) return undefined;
    const all = this.#join();
    this.#pieces = all.length > 2 + length ? [all.subarray(2 + length)] : [];
    this.#held -= 2 + length;
    return all.slice(2, 2 + length);
  }

  /** The pieces are joined once a message is whole, or when they are many: not for each byte that comes. */
  #join(): Uint8Array {
    const [first] = this.#pieces;
    if (this.#pieces.length === 1 && first !== undefined) return first;
    const all = new Uint8Array(this.#held);
    let at = 0;
    for (const piece of this.#pieces) {
      all.set(piece, at);
      at += piece.length;
    }
    return all;
  }

  #length(): number {
    const [first, second] = this.#pieces;
    if (first !== undefined && first.length >= 2) return readU16(first, 0);
    if (first?.length === 1 && second !== undefined && second.length > 0) return (first[0]! << 8) | second[0]!;
    return readU16(this.#join(), 0);
  }
}
