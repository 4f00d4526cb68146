import { readU16, readU32, writeU16, writeU32 } from './bytes.ts';

/** Option kinds (RFC 9293 §3.2, RFC 7323 §2.2 and §3.2, RFC 2018 §2 and §3). */
const END_OF_LIST = 0;
const NO_OPERATION = 1;
const MAXIMUM_SEGMENT_SIZE = 2;
const WINDOW_SCALE = 3;
const SACK_PERMITTED = 4;
const SACK = 5;
const TIMESTAMPS = 8;

/** RFC 7323 §2.3: a larger shift is taken as 14. */
export const MAX_WINDOW_SCALE = 14;
/** What fits into 40 bytes of options. */
export const MAX_SACK_BLOCKS = 4;

/** An option's length runs past the header, is below 2, or is not the one its kind must have. */
export type TcpOptionsFault = 'tcp-bad-options';

/** Filled by `parseTcpOptions`. */
export class TcpOptions {
  /** 0: none. */
  mss = 0;
  /** −1: none; else 0 to 14. */
  windowScale = -1;
  sackPermitted = false;
  /** Whether the two timestamp fields were there. */
  timestamps = false;
  timestampValue = 0;
  timestampEcho = 0;
  /** Blocks used of the two arrays: left ≤ number < right. */
  sackCount = 0;
  readonly sackLeft: Uint32Array = new Uint32Array(MAX_SACK_BLOCKS);
  readonly sackRight: Uint32Array = new Uint32Array(MAX_SACK_BLOCKS);

  /** Makes it the options of a header that has none. */
  clear(): void {
    this.mss = 0;
    this.windowScale = -1;
    this.sackPermitted = false;
    this.timestamps = false;
    this.timestampValue = 0;
    this.timestampEcho = 0;
    this.sackCount = 0;
  }
}

/**
 * Reads the options at [at, end). Never throws, never reads past `end`. A fault does not make the segment useless: an
 * option with a wrong length is left out, the ones before it (and after it, where they can be found) are in `into`.
 */
export function parseTcpOptions(
  bytes: Uint8Array,
  at: number,
  end: number,
  into: TcpOptions,
): TcpOptionsFault | undefined {
  into.clear();
  let fault: TcpOptionsFault | undefined;
  while (at < end) {
    const kind = bytes[at]!;
    if (kind === END_OF_LIST) break;
    if (kind === NO_OPERATION) {
      at++;
      continue;
    }
    if (end - at < 2) return 'tcp-bad-options';
    const length = bytes[at + 1]!;
    if (length < 2 || length > end - at) return 'tcp-bad-options';
    if (!takeOption(bytes, at, kind, length, into)) fault = 'tcp-bad-options';
    at += length;
  }
  return fault;
}

/** Takes one option whose `length` bytes are all there; false when its kind must have another length. */
function takeOption(bytes: Uint8Array, at: number, kind: number, length: number, into: TcpOptions): boolean {
  switch (kind) {
    case MAXIMUM_SEGMENT_SIZE:
      if (length !== 4) return false;
      into.mss = readU16(bytes, at + 2);
      return true;
    case WINDOW_SCALE:
      if (length !== 3) return false;
      into.windowScale = Math.min(bytes[at + 2]!, MAX_WINDOW_SCALE);
      return true;
    case SACK_PERMITTED:
      if (length !== 2) return false;
      into.sackPermitted = true;
      return true;
    case SACK:
      return takeSackBlocks(bytes, at, length, into);
    case TIMESTAMPS:
      if (length !== 10) return false;
      into.timestamps = true;
      into.timestampValue = readU32(bytes, at + 2);
      into.timestampEcho = readU32(bytes, at + 6);
      return true;
    default:
      return true;
  }
}

function takeSackBlocks(bytes: Uint8Array, at: number, length: number, into: TcpOptions): boolean {
  const count = (length - 2) >>> 3;
  if (count < 1 || count > MAX_SACK_BLOCKS || length !== 2 + count * 8) return false;
  for (let i = 0; i < count; i++) {
    into.sackLeft[i] = readU32(bytes, at + 2 + i * 8);
    into.sackRight[i] = readU32(bytes, at + 6 + i * 8);
  }
  into.sackCount = count;
  return true;
}

/** What `writeSynOptions` writes at most. */
export const MAX_SYN_OPTIONS_BYTES = 12;

/**
 * Writes the options of a SYN, padded to whole words; `windowScale` −1 leaves it out. Returns the bytes written (4, 8
 * or 12).
 */
export function writeSynOptions(
  bytes: Uint8Array,
  at: number,
  mss: number,
  windowScale: number,
  sackPermitted: boolean,
): number {
  const start = at;
  bytes[at] = MAXIMUM_SEGMENT_SIZE;
  bytes[at + 1] = 4;
  writeU16(bytes, at + 2, mss);
  at += 4;
  if (sackPermitted) {
    bytes[at] = NO_OPERATION;
    bytes[at + 1] = NO_OPERATION;
    bytes[at + 2] = SACK_PERMITTED;
    bytes[at + 3] = 2;
    at += 4;
  }
  if (windowScale >= 0) {
    bytes[at] = NO_OPERATION;
    bytes[at + 1] = WINDOW_SCALE;
    bytes[at + 2] = 3;
    bytes[at + 3] = windowScale;
    at += 4;
  }
  return at - start;
}

/** Bytes that `writeSackOption` writes for `count` blocks (0 for none). */
export function sackOptionBytes(count: number): number {
  return count === 0 ? 0 : 4 + count * 8;
}

/**
 * Writes `count` SACK blocks (at most MAX_SACK_BLOCKS), padded to whole words. Returns the bytes written, 0 for no
 * block.
 */
export function writeSackOption(
  bytes: Uint8Array,
  at: number,
  count: number,
  left: Uint32Array,
  right: Uint32Array,
): number {
  if (count === 0) return 0;
  bytes[at] = NO_OPERATION;
  bytes[at + 1] = NO_OPERATION;
  bytes[at + 2] = SACK;
  bytes[at + 3] = 2 + count * 8;
  for (let i = 0; i < count; i++) {
    writeU32(bytes, at + 4 + i * 8, left[i]!);
    writeU32(bytes, at + 8 + i * 8, right[i]!);
  }
  return 4 + count * 8;
}
