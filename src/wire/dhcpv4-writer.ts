import { writeLatin1, writeMac, writeU16, writeU32 } from './bytes.ts';
import {
  DHCP_FIXED_BYTES,
  DHCP_MAGIC_COOKIE,
  DHCP_MIN_BYTES,
  type DhcpFields,
  FILE_AT,
  FILE_BYTES,
  OPTION_END,
  OPTION_OVERLOAD,
  SNAME_AT,
  SNAME_BYTES,
} from './dhcpv4.ts';

/** Some clients drop what is shorter than a BOOTP message (RFC 1542 §2.1). */
const MIN_MESSAGE_BYTES = 300;

/** What the options field must keep free: option 52 and END. */
const TAIL_BYTES = 4;

/** A field that takes options: [at, end), of which `end` excludes the END byte. */
interface Area {
  at: number;
  end: number;
}

/**
 * Writes one DHCP message: `start`, then options in the order of their importance, then `finish`. What finds no room in
 * the options field goes into `file` and `sname` by option 52 (RFC 2131 §4.1). What must be the last of all options
 * (RFC 3046 §2.1) has its room kept from the start and is put after `beginTail`.
 */
export class DhcpWriter {
  readonly #bytes: Uint8Array;
  #at = 0;
  readonly #options: Area = { at: 0, end: 0 };
  readonly #file: Area = { at: 0, end: 0 };
  readonly #sname: Area = { at: 0, end: 0 };
  readonly #areas: readonly Area[] = [this.#options, this.#file, this.#sname];
  #tailBytes = 0;
  #inTail = false;

  /** Writes into `bytes`, which the caller may read after `finish`. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /**
   * Begins a message at `at` that takes at most `maxBytes`: what the client said in option 57, DHCP_DEFAULT_MAX_BYTES
   * unless it did; at least 300. `tailBytes` are kept in the options field for what comes after `beginTail`.
   */
  start(at: number, maxBytes: number, fields: DhcpFields, tailBytes = 0): void {
    const bytes = this.#bytes;
    const end = Math.min(at + maxBytes, bytes.length);
    bytes.fill(0, at, end);
    this.#at = at;
    bytes[at] = fields.operation;
    bytes[at + 1] = 1;
    bytes[at + 2] = 6;
    bytes[at + 3] = fields.hops;
    writeU32(bytes, at + 4, fields.xid);
    writeU16(bytes, at + 8, fields.secs);
    writeU16(bytes, at + 10, fields.broadcast ? 0x8000 : 0);
    writeU32(bytes, at + 12, fields.ciaddr);
    writeU32(bytes, at + 16, fields.yiaddr);
    writeU32(bytes, at + 20, fields.siaddr);
    writeU32(bytes, at + 24, fields.giaddr);
    writeMac(bytes, at + 28, fields.chaddr);
    writeU32(bytes, at + DHCP_FIXED_BYTES, DHCP_MAGIC_COOKIE);
    this.#options.at = at + DHCP_MIN_BYTES;
    this.#options.end = end - TAIL_BYTES - tailBytes;
    this.#tailBytes = tailBytes;
    this.#inTail = false;
    this.#file.at = at + FILE_AT;
    this.#file.end = at + FILE_AT + FILE_BYTES - 1;
    this.#sname.at = at + SNAME_AT;
    this.#sname.end = at + SNAME_AT + SNAME_BYTES - 1;
  }

  /** Each of these adds one option; false when it finds no room (then it is left out). */
  putU8(code: number, value: number): boolean {
    const at = this.#place(code, 1);
    if (at >= 0) this.#bytes[at] = value;
    return at >= 0;
  }

  putU16(code: number, value: number): boolean {
    const at = this.#place(code, 2);
    if (at >= 0) writeU16(this.#bytes, at, value);
    return at >= 0;
  }

  /** A number or an IPv4 address. */
  putU32(code: number, value: number): boolean {
    const at = this.#place(code, 4);
    if (at >= 0) writeU32(this.#bytes, at, value);
    return at >= 0;
  }

  /** Latin-1 text of at most 255 characters. */
  putText(code: number, text: string): boolean {
    if (text.length > 255) return false;
    const at = this.#place(code, text.length);
    if (at >= 0) writeLatin1(this.#bytes, at, text);
    return at >= 0;
  }

  /** Any value; one of more than 255 bytes is split (RFC 3396) and must fit into the options field. */
  putBytes(code: number, value: Uint8Array): boolean {
    if (value.length <= 255) {
      const at = this.#place(code, value.length);
      if (at >= 0) this.#bytes.set(value, at);
      return at >= 0;
    }
    const pieces = Math.ceil(value.length / 255);
    if (this.#options.end - this.#options.at < value.length + pieces * 2) return false;
    for (let from = 0; from < value.length; from += 255) {
      const piece = value.subarray(from, from + 255);
      this.#bytes.set(piece, this.#place(code, piece.length));
    }
    return true;
  }

  /** What is put from now on comes after all else, in the room that `start` kept. */
  beginTail(): void {
    if (this.#inTail) return;
    this.#inTail = true;
    this.#options.end += this.#tailBytes;
    const bytes = this.#bytes;
    const inFile = this.#file.at > this.#at + FILE_AT;
    const inSname = this.#sname.at > this.#at + SNAME_AT;
    if (inFile || inSname) {
      bytes[this.#options.at++] = OPTION_OVERLOAD;
      bytes[this.#options.at++] = 1;
      bytes[this.#options.at++] = (inFile ? 1 : 0) | (inSname ? 2 : 0);
      if (inFile) bytes[this.#file.at] = OPTION_END;
      if (inSname) bytes[this.#sname.at] = OPTION_END;
    }
    this.#file.end = this.#file.at;
    this.#sname.end = this.#sname.at;
  }

  /** Ends the message; returns its length in bytes. */
  finish(): number {
    this.beginTail();
    const bytes = this.#bytes;
    bytes[this.#options.at++] = OPTION_END;
    return Math.max(this.#options.at - this.#at, MIN_MESSAGE_BYTES);
  }

  /** Writes code and length where there is room; returns where the value goes, −1 for nowhere. */
  #place(code: number, length: number): number {
    for (const area of this.#areas) {
      if (area.end - area.at < 2 + length) continue;
      const at = area.at + 2;
      this.#bytes[area.at] = code;
      this.#bytes[area.at + 1] = length;
      area.at = at + length;
      return at;
    }
    return -1;
  }
}
