/** UTF-8 (RFC 3629), for the few fields of protocols that carry text of any language: the core has no TextEncoder. */

const REPLACEMENT = 0xfffd;
const FIRST_SURROGATE = 0xd800;
const LAST_SURROGATE = 0xdfff;

/** The octets of `text`. A lone surrogate becomes U+FFFD. */
export function utf8From(text: string): number[] {
  const octets: number[] = [];
  for (const character of text) {
    const point = character.codePointAt(0)!;
    const scalar = point >= FIRST_SURROGATE && point <= LAST_SURROGATE ? REPLACEMENT : point;
    if (scalar < 0x80) octets.push(scalar);
    else if (scalar < 0x800) octets.push(0xc0 | (scalar >>> 6), continuation(scalar));
    else if (scalar < 0x1_0000) octets.push(0xe0 | (scalar >>> 12), continuation(scalar >>> 6), continuation(scalar));
    else {
      octets.push(
        0xf0 | (scalar >>> 18),
        continuation(scalar >>> 12),
        continuation(scalar >>> 6),
        continuation(scalar),
      );
    }
  }
  return octets;
}

function continuation(bits: number): number {
  return 0x80 | (bits & 0x3f);
}

/** The text of the octets [at, end). Each octet that is part of no character becomes U+FFFD; nothing can fail. */
export function textFromUtf8(bytes: Uint8Array, at: number, end: number): string {
  let text = '';
  while (at < end) {
    const length = sequenceLength(bytes, at, end);
    text += String.fromCodePoint(length === 0 ? REPLACEMENT : scalarAt(bytes, at, length));
    at += Math.max(1, length);
  }
  return text;
}

/** Octets of the character at `at`; 0 when it is cut off, overlong, a surrogate or beyond U+10FFFF. */
function sequenceLength(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 1;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || end - at < length) return 0;
  for (let i = 1; i < length; i++) if ((bytes[at + i]! & 0xc0) !== 0x80) return 0;
  const scalar = scalarAt(bytes, at, length);
  const surrogate = scalar >= FIRST_SURROGATE && scalar <= LAST_SURROGATE;
  const overlong = (length === 3 && scalar < 0x800) || (length === 4 && scalar < 0x1_0000);
  return surrogate || overlong || scalar > 0x10_ffff ? 0 : length;
}

function scalarAt(bytes: Uint8Array, at: number, length: number): number {
  if (length === 1) return bytes[at]!;
  let scalar = bytes[at]! & (0x7f >>> length);
  for (let i = 1; i < length; i++) scalar = (scalar << 6) | (bytes[at + i]! & 0x3f);
  return scalar;
}
