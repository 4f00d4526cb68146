import { readU16, readU32 } from './bytes.ts';
import { DnsName, parseDnsName } from './dns-name.ts';

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
/** RFC 4648 §7, which NSEC3 uses (RFC 5155 §3.3). */
const BASE32_HEX = '0123456789ABCDEFGHIJKLMNOPQRSTUV';
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

const parsedName = new DnsName();

/**
 * Reads the data of one record field by field, as the text that zone files have for it (RFC 1035 §5.1). A field that
 * runs past the data's end is '' or 0, and `bad` from then on: whoever reads looks once, at the end. Never throws,
 * never reads past the end.
 */
export class DnsDataReader {
  readonly #bytes: Uint8Array;
  readonly #messageAt: number;
  #at: number;
  readonly #end: number;
  #bad = false;

  /** The data at [at, end) of the message that begins at `messageAt`; names may point to earlier octets. */
  constructor(bytes: Uint8Array, messageAt: number, at: number, end: number) {
    this.#bytes = bytes;
    this.#messageAt = messageAt;
    this.#at = at;
    this.#end = end;
  }

  /** Bytes not read yet. */
  get left(): number {
    return this.#end - this.#at;
  }

  /** Everything was there and was what it should be, and nothing is left. */
  get complete(): boolean {
    return !this.#bad && this.left === 0;
  }

  get bad(): boolean {
    return this.#bad;
  }

  /** For what reads well but means nothing. */
  fail(): '' {
    this.#bad = true;
    return '';
  }

  u8(): number {
    return this.#take(1) ? this.#bytes[this.#at - 1]! : 0;
  }

  u16(): number {
    return this.#take(2) ? readU16(this.#bytes, this.#at - 2) : 0;
  }

  u32(): number {
    return this.#take(4) ? readU32(this.#bytes, this.#at - 4) : 0;
  }

  /** With its last dot. */
  name(): string {
    const fault = parseDnsName(this.#bytes, this.#messageAt, this.#at, this.#end, parsedName);
    if (this.#bad || fault !== undefined) return this.fail();
    this.#at = parsedName.nextAt;
    return `${parsedName.text}.`;
  }

  /** A string behind the byte that says its length, in quotes. */
  text(): string {
    return this.quoted(this.u8());
  }

  quoted(length: number): string {
    return `"${escapeOctets(this.octets(length))}"`;
  }

  hex(length: number): string {
    return Array.from(this.octets(length), (octet) => octet.toString(16).padStart(2, '0'))
      .join('')
      .toUpperCase();
  }

  base64(length: number): string {
    const text = digits(this.octets(length), 6, BASE64);
    return text.padEnd(Math.ceil(text.length / 4) * 4, '=');
  }

  base32Hex(length: number): string {
    return digits(this.octets(length), 5, BASE32_HEX);
  }

  octets(length: number): Uint8Array {
    return this.#take(length) ? this.#bytes.subarray(this.#at - length, this.#at) : new Uint8Array(0);
  }

  /** A reader of the next `length` bytes alone. */
  part(length: number): DnsDataReader {
    const at = this.#at;
    return new DnsDataReader(this.#bytes, this.#messageAt, at, this.#take(length) ? at + length : at);
  }

  #take(length: number): boolean {
    if (this.#bad || length > this.left) {
      this.#bad = true;
      return false;
    }
    this.#at += length;
    return true;
  }
}

/** As inside quotes: quote and backslash behind a backslash, what is not printable ASCII as \DDD. */
export function escapeOctets(octets: Iterable<number>): string {
  let text = '';
  for (const octet of octets) {
    if (octet === QUOTE || octet === BACKSLASH) text += `\\${String.fromCharCode(octet)}`;
    else if (octet >= 0x20 && octet < 0x7f) text += String.fromCharCode(octet);
    else text += `\\${String(octet).padStart(3, '0')}`;
  }
  return text;
}

/** The octets as digits of `bits` bits each, the last filled up with zeros (RFC 4648 §3). */
function digits(octets: Uint8Array, bits: number, alphabet: string): string {
  let text = '';
  let held = 0;
  let heldBits = 0;
  for (const octet of octets) {
    held = (held << 8) | octet;
    heldBits += 8;
    while (heldBits >= bits) {
      heldBits -= bits;
      text += alphabet[held >>> heldBits];
      held &= (1 << heldBits) - 1;
    }
  }
  return heldBits === 0 ? text : text + alphabet[held << (bits - heldBits)];
}
