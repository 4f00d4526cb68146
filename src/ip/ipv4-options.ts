import { IPV4_HEADER_BYTES } from '../wire/ipv4.ts';

/** Options that we refuse; both are counters. */
export type OptionsFault = 'ipv4-bad-options' | 'ipv4-source-route';

const END_OF_OPTIONS = 0;
const NO_OPERATION = 1;
const LOOSE_SOURCE_ROUTE = 131;
const STRICT_SOURCE_ROUTE = 137;

/**
 * Looks through the options of a header of `headerBytes` bytes at `at` (RFC 791 §3.1). Source routes are refused (RFC
 * 7126 §4.3, §4.4); others may be skipped.
 */
export function optionsFault(bytes: Uint8Array, at: number, headerBytes: number): OptionsFault | undefined {
  const end = at + headerBytes;
  for (let i = at + IPV4_HEADER_BYTES; i < end; ) {
    const kind = bytes[i];
    if (kind === END_OF_OPTIONS) return undefined;
    if (kind === NO_OPERATION) {
      i++;
      continue;
    }
    if (kind === LOOSE_SOURCE_ROUTE || kind === STRICT_SOURCE_ROUTE) return 'ipv4-source-route';
    const length = i + 1 < end ? (bytes[i + 1] ?? 0) : 0;
    if (length < 2 || i + length > end) return 'ipv4-bad-options';
    i += length;
  }
  return undefined;
}
