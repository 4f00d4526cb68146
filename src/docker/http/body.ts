import { fieldValues, hasWord, type MessageHead, type RequestHead, type ResponseHead } from './head.ts';

/** How the end of a body is found (RFC 9112 §6.3). */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** It ends with the connection. */
  | { readonly kind: 'close' };

/**
 * The framing of a request's body; undefined where its fields contradict each other, which is the engine's to refuse.
 */
export function requestFraming(head: RequestHead): Framing | undefined {
  if (isChunked(head)) return { kind: 'chunked' };
  const length = contentLength(head);
  if (length === 'invalid') return undefined;
  return length === undefined ? { kind: 'none' } : { kind: 'length', bytes: length };
}

/** The framing of the body of a final response to a request with this method. */
export function responseFraming(head: ResponseHead, method: string): Framing {
  if (method === 'HEAD' || head.status === 204 || head.status === 304) return { kind: 'none' };
  if (isChunked(head)) return { kind: 'chunked' };
  const length = contentLength(head);
  return typeof length === 'number' ? { kind: 'length', bytes: length } : { kind: 'close' };
}

/** Go takes Transfer-Encoding where a Content-Length stands beside it, and knows it in HTTP/1.1 only. */
function isChunked(head: RequestHead | ResponseHead): boolean {
  return head.minorVersion === 1 && hasWord(head, 'transfer-encoding', 'chunked');
}

function contentLength(head: MessageHead): number | 'invalid' | undefined {
  const values = new Set(fieldValues(head, 'content-length'));
  if (values.size === 0) return undefined;
  const [value] = values;
  return values.size === 1 && /^\d{1,15}$/.test(value!) ? Number(value) : 'invalid';
}

/** Counts the octets of one body as they pass. */
export interface BodyCounter {
  /** True when the body has ended. */
  readonly done: boolean;
  /**
   * How many of the first octets of `bytes` belong to the body; fewer than all of them only where it ends in `bytes`.
   */
  take(bytes: Buffer): number;
}

/** A counter for a body that is framed like this; undefined for one that ends with its connection. */
export function bodyCounter(framing: Exclude<Framing, { kind: 'close' }>): BodyCounter {
  if (framing.kind === 'chunked') return new ChunkedCounter();
  return new LengthCounter(framing.kind === 'length' ? framing.bytes : 0);
}

class LengthCounter implements BodyCounter {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  get done(): boolean {
    return this.#left === 0;
  }

  take(bytes: Buffer): number {
    const taken = Math.min(this.#left, bytes.length);
    this.#left -= taken;
    return taken;
  }
}

const LF = 0x0a;
const CR = 0x0d;

/**
 * A chunked body (RFC 9112 §7.1): extensions and trailers pass like everything else. A size that is none ends the body
 * with the rest of the stream: only the reader at its end can say what it makes of it.
 */
class ChunkedCounter implements BodyCounter {
  #stage: 'size' | 'extension' | 'data' | 'data-end' | 'trailer' | 'done' | 'lost' = 'size';
  #size = 0;
  #digits = 0;
  /** Octets of the trailer's line so far, without its end. */
  #line = 0;

  get done(): boolean {
    return this.#stage === 'done';
  }

  take(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length && this.#stage !== 'done') {
      if (this.#stage === 'lost') return bytes.length;
      if (this.#stage === 'data') {
        const taken = Math.min(this.#size, bytes.length - at);
        this.#size -= taken;
        at += taken;
        if (this.#size === 0) this.#stage = 'data-end';
      } else this.#step(bytes[at++]!);
    }
    return at;
  }

  #step(octet: number): void {
    switch (this.#stage) {
      case 'size':
        this.#readSize(octet);
        break;
      case 'extension':
        if (octet === LF) this.#endSizeLine();
        break;
      case 'data-end':
        if (octet === LF) this.#stage = 'size';
        else if (octet !== CR) this.#stage = 'lost';
        break;
      case 'trailer':
        if (octet === LF && this.#line === 0) this.#stage = 'done';
        else if (octet === LF) this.#line = 0;
        else if (octet !== CR) this.#line++;
        break;
    }
  }

  #readSize(octet: number): void {
    const digit = Number.parseInt(String.fromCharCode(octet), 16);
    if (!Number.isNaN(digit) && this.#digits < 12) {
      this.#size = this.#size * 16 + digit;
      this.#digits++;
    } else if (this.#digits === 0 || !Number.isNaN(digit)) this.#stage = 'lost';
    else if (octet === LF) this.#endSizeLine();
    else this.#stage = 'extension';
  }

  #endSizeLine(): void {
    this.#digits = 0;
    this.#stage = this.#size === 0 ? 'trailer' : 'data';
  }
}

/** The content of a chunked body that came whole; what is malformed ends it. */
export function dechunked(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const lineEnd = bytes.indexOf(LF, at);
    if (lineEnd < 0) break;
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    if (!(size > 0)) break;
    parts.push(bytes.subarray(lineEnd + 1, lineEnd + 1 + size));
    at = bytes.indexOf(LF, lineEnd + 1 + size) + 1;
    if (at === 0) break;
  }
  return Buffer.concat(parts);
}
