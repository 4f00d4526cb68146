/**
 * Domain names (RFC 1035 §3.1, compression §4.1.4), as text without the last dot; the root is ''. Octets that are not
 * printable ASCII are written \DDD, a dot or backslash inside a label \. and \\ (RFC 1035 §5.1), so every name on the
 * wire has one text and comes back the same.
 */

/** Octets of a name, length bytes and root included (RFC 1035 §2.3.4). */
export const DNS_MAX_NAME_BYTES = 255;
/** Longest label (RFC 1035 §2.3.4). */
export const DNS_MAX_LABEL_BYTES = 63;
/** What a pointer to an earlier name can reach: 14 bits (RFC 1035 §4.1.4). */
export const DNS_MAX_POINTER = 0x3fff;
const DOT = 0x2e;
const BACKSLASH = 0x5c;

/**
 * Runs past the end; longer than 255 octets; a label type other than plain and pointer; a pointer that does not point
 * backwards.
 */
export type DnsNameFault = 'dns-name-truncated' | 'dns-name-too-long' | 'dns-bad-label' | 'dns-bad-pointer';

/** Filled by `parseDnsName`. */
export class DnsName {
  /** As sent: case is kept. */
  text = '';
  /** Offset after the name where it stands (after the first pointer, if it has one). */
  nextAt = 0;
}

/**
 * Reads the name at `at` in the message at [messageAt, end). Each pointer must point before the place where the run of
 * labels that it ends began, so the walk goes only backwards and ends. Never throws, never reads past `end`.
 */
export function parseDnsName(
  bytes: Uint8Array,
  messageAt: number,
  at: number,
  end: number,
  into: DnsName,
): DnsNameFault | undefined {
  let text = '';
  let octets = 1;
  let runAt = at;
  let jumped = false;
  for (;;) {
    if (at >= end) return 'dns-name-truncated';
    const length = bytes[at]!;
    if (length === 0) break;
    if (length >= 0xc0) {
      if (end - at < 2) return 'dns-name-truncated';
      const target = messageAt + (((length & 0x3f) << 8) | bytes[at + 1]!);
      if (target >= runAt) return 'dns-bad-pointer';
      if (!jumped) into.nextAt = at + 2;
      jumped = true;
      at = target;
      runAt = target;
      continue;
    }
    if (length > DNS_MAX_LABEL_BYTES) return 'dns-bad-label';
    octets += 1 + length;
    if (octets > DNS_MAX_NAME_BYTES) return 'dns-name-too-long';
    if (length > end - at - 1) return 'dns-name-truncated';
    if (text !== '') text += '.';
    text += labelText(bytes, at + 1, length);
    at += 1 + length;
  }
  into.text = text;
  if (!jumped) into.nextAt = at + 1;
  return undefined;
}

function labelText(bytes: Uint8Array, at: number, length: number): string {
  let text = '';
  for (let i = at; i < at + length; i++) {
    const octet = bytes[i]!;
    if (octet === 0x2e || octet === 0x5c) text += `\\${String.fromCharCode(octet)}`;
    else if (octet > 0x20 && octet < 0x7f) text += String.fromCharCode(octet);
    else text += `\\${String(octet).padStart(3, '0')}`;
  }
  return text;
}

const encoded = new Uint8Array(DNS_MAX_NAME_BYTES);

/**
 * Writes the name without compression, at most up to `end`. A last dot may be there. Returns the bytes written; −1 when
 * the text is no name (an empty or long label, a bad escape, a character above 255) or has no room: then nothing is
 * written.
 */
export function writeDnsName(bytes: Uint8Array, at: number, end: number, text: string): number {
  const length = encodeDnsName(text, encoded);
  if (length < 0 || length > end - at) return -1;
  for (let i = 0; i < length; i++) bytes[at + i] = encoded[i]!;
  return length;
}

/** The octets of each label; undefined when the text is no name. */
export function dnsLabels(text: string): number[][] | undefined {
  if (encodeDnsName(text, encoded) < 0) return undefined;
  const labels: number[][] = [];
  for (let at = 0; encoded[at] !== 0; at += 1 + encoded[at]!) {
    labels.push([...encoded.subarray(at + 1, at + 1 + encoded[at]!)]);
  }
  return labels;
}

/**
 * Writes the name without compression to the beginning of `into`, which has 255 bytes. Returns its length; −1 when the
 * text is no name.
 */
export function encodeDnsName(text: string, into: Uint8Array): number {
  let labelAt = 0;
  let at = 1;
  const length = text === '.' ? 0 : text.length;
  for (let i = 0; i < length; i++) {
    let octet = text.charCodeAt(i);
    if (octet === DOT) {
      if (at === labelAt + 1) return -1;
      into[labelAt] = at - labelAt - 1;
      labelAt = at++;
      continue;
    }
    if (octet === BACKSLASH) {
      octet = escapedOctet(text, i + 1);
      i += text.length - i > 1 && isDigit(text.charCodeAt(i + 1)) ? 3 : 1;
    }
    // One octet is kept for the root. (The comparison with 255 also refuses NaN.)
    if (!(octet <= 255) || at - labelAt > DNS_MAX_LABEL_BYTES || at >= DNS_MAX_NAME_BYTES - 1) return -1;
    into[at++] = octet;
  }
  // Without a last dot, the last label is still open; behind one, the place of the next is the root's.
  if (at > labelAt + 1) {
    into[labelAt] = at - labelAt - 1;
    labelAt = at;
  }
  into[labelAt] = 0;
  return labelAt + 1;
}

/**
 * What follows a backslash: three decimal digits, or a character that is itself; NaN when it is neither (RFC 1035
 * §5.1).
 */
function escapedOctet(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (!isDigit(code)) return code;
  return /^\d{3}$/.test(text.slice(at, at + 3)) ? Number(text.slice(at, at + 3)) : Number.NaN;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/**
 * Passes over the name at `at` without reading its text: what a walk over records does. Returns the offset after the
 * name where it stands, −1 when it is broken (`parseDnsName` then says how). Where its pointer leads is not followed:
 * only that it leads back.
 */
export function skipDnsName(bytes: Uint8Array, messageAt: number, at: number, end: number): number {
  const start = at;
  while (at < end && at - start < DNS_MAX_NAME_BYTES) {
    const length = bytes[at]!;
    if (length === 0) return at + 1;
    if (length >= 0xc0) {
      if (end - at < 2) return -1;
      return messageAt + (((length & 0x3f) << 8) | bytes[at + 1]!) < start ? at + 2 : -1;
    }
    if (length > DNS_MAX_LABEL_BYTES) return -1;
    at += 1 + length;
  }
  return -1;
}

/**
 * What names are compared by: ASCII letters in lower case and no others touched (RFC 4343 §3), no last dot. Returns the
 * text itself when that is it already.
 */
export function dnsNameKey(text: string): string {
  let upper = false;
  let wide = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x41 && code <= 0x5a) upper = true;
    else if (code > 0x7f) wide = true;
  }
  const name = endsWithDot(text) ? text.slice(0, -1) : text;
  if (!upper) return name;
  return wide ? name.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase()) : name.toLowerCase();
}

/**
 * Whether the last character is a dot that an even number of backslashes precedes: one that ends the name, not one in a
 * label.
 */
function endsWithDot(text: string): boolean {
  let at = text.length - 1;
  if (text.charCodeAt(at) !== DOT) return false;
  while (at > 0 && text.charCodeAt(at - 1) === BACKSLASH) at--;
  return (text.length - 1 - at) % 2 === 0;
}
