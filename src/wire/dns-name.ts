/**
 * Domain names (RFC 1035 §3.1, compression §4.1.4), as text without the last dot; the root is ''. Octets that are not
 * printable ASCII are written \DDD, a dot or backslash inside a label \. and \\ (RFC 1035 §5.1), so every name on the
 * wire has one text and comes back the same.
 */

/** Octets of a name, length bytes and root included (RFC 1035 §2.3.4). */
export const DNS_MAX_NAME_BYTES = 255;
const MAX_LABEL_BYTES = 63;
const DOT = 0x2e;
const BACKSLASH = 0x5c;

/** Runs past the end; longer than 255 octets; a label type other than plain and pointer; a pointer that does not point backwards. */
export type DnsNameFault = 'dns-name-truncated' | 'dns-name-too-long' | 'dns-bad-label' | 'dns-bad-pointer';

/** Filled by `parseDnsName`. */
export class DnsName {
  /** As sent: case is kept. */
  text = '';
  /** Offset after the name where it stands (after the first pointer, if it has one). */
  nextAt = 0;
}

/**
 * Reads the name at `at` in the message at [messageAt, end). Each pointer must point before the place where the run of labels
 * that it ends began, so the walk goes only backwards and ends. Never throws, never reads past `end`.
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
    if (length > MAX_LABEL_BYTES) return 'dns-bad-label';
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

/**
 * Writes the name without compression, at most up to `end`. A last dot may be there. Returns the bytes written; −1 when
 * the text is no name (an empty or long label, a bad escape, a character above 255) or has no room: then what lies at [at, end) is undefined.
 */
export function writeDnsName(bytes: Uint8Array, at: number, end: number, text: string): number {
  const labels = dnsLabels(text);
  if (labels === undefined) return -1;
  const start = at;
  for (const label of labels) {
    if (end - at < 1 + label.length) return -1;
    bytes[at] = label.length;
    for (let i = 0; i < label.length; i++) bytes[at + 1 + i] = label[i]!;
    at += 1 + label.length;
  }
  if (end - at < 1) return -1;
  bytes[at] = 0;
  return at + 1 - start;
}

/** The octets of each label; undefined when the text is no name. */
export function dnsLabels(text: string): number[][] | undefined {
  if (text === '' || text === '.') return [];
  const labels: number[][] = [];
  let label: number[] = [];
  let octets = 1;
  const close = (): boolean => {
    octets += 1 + label.length;
    const good = label.length > 0 && label.length <= MAX_LABEL_BYTES && octets <= DNS_MAX_NAME_BYTES;
    labels.push(label);
    label = [];
    return good;
  };
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (character === '.') {
      if (!close()) return undefined;
    } else if (character === '\\') {
      const digits = /^\d{3}/.exec(text.slice(i + 1, i + 4))?.[0];
      const octet = digits === undefined ? text.charCodeAt(i + 1) : Number(digits);
      // Also refuses the NaN that charCodeAt gives after the last character.
      if (!(octet <= 255)) return undefined;
      label.push(octet);
      i += digits === undefined ? 1 : 3;
    } else {
      const octet = text.charCodeAt(i);
      if (octet > 255) return undefined;
      label.push(octet);
    }
  }
  if (label.length > 0 && !close()) return undefined;
  return labels;
}

/**
 * Passes over the name at `at` without reading its text: what a walk over records does. Returns the offset after the name
 * where it stands, −1 when it is broken (`parseDnsName` then says how). Where its pointer leads is not followed: only that it leads back.
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
    if (length > MAX_LABEL_BYTES) return -1;
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

/** Whether the last character is a dot that an even number of backslashes precedes: one that ends the name, not one in a label. */
function endsWithDot(text: string): boolean {
  let at = text.length - 1;
  if (text.charCodeAt(at) !== DOT) return false;
  while (at > 0 && text.charCodeAt(at - 1) === BACKSLASH) at--;
  return (text.length - 1 - at) % 2 === 0;
}
