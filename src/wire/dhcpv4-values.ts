import { latin1From, writeLatin1, writeU16, writeU32 } from './bytes.ts';
import type { Cidr } from './cidr.ts';
import { DNS_MAX_LABEL_BYTES, DNS_MAX_POINTER } from './dns-name.ts';

/**
 * Values of DHCP options that are more than a number or a text: the domain search list (RFC 3397), classless static
 * routes (RFC 3442) and the client's full name (RFC 4702). Read from clients without throwing; written from a checked
 * configuration.
 */

/** RFC 1035 §2.3.4, length bytes and root included. */
const MAX_NAME_BYTES = 255;
const POINTER = 0xc0_00;
/** Flags and two rcodes before the name of option 81 (RFC 4702 §2). */
const FQDN_HEADER_BYTES = 3;
/** The name is in DNS wire format, not ASCII. */
const FQDN_ENCODED = 0x04;

/**
 * The names as option 119 has them: DNS wire format, each compressed against those before it, pointers counted from the
 * value's start (RFC 3397 §2). Throws a RangeError if it is not a name.
 */
export function encodeSearchList(names: readonly string[]): Uint8Array {
  const bytes = new Uint8Array(names.reduce((sum, name) => sum + name.length + 2, 0));
  const suffixes = new Map<string, number>();
  let at = 0;
  for (const name of names) {
    const labels = labelsOf(name);
    while (labels.length > 0) {
      const suffix = labels.join('.').toLowerCase();
      const known = suffixes.get(suffix);
      if (known !== undefined) {
        writeU16(bytes, at, POINTER | known);
        at += 2;
        break;
      }
      if (at <= DNS_MAX_POINTER) suffixes.set(suffix, at);
      const label = labels.shift() ?? '';
      bytes[at] = label.length;
      at += 1 + writeLatin1(bytes, at + 1, label);
      if (labels.length === 0) bytes[at++] = 0;
    }
  }
  return bytes.slice(0, at);
}

function labelsOf(name: string): string[] {
  const labels = name.replace(/\.$/, '').split('.');
  const fits = labels.every((label) => label.length > 0 && label.length <= DNS_MAX_LABEL_BYTES && isLatin1(label));
  if (!fits || name.length + 2 > MAX_NAME_BYTES) throw new RangeError(`not a domain name: '${name}'`);
  return labels;
}

function isLatin1(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 255) return false;
  return true;
}

/** The routes as option 121 has them: prefix length, the network's significant bytes, the router (RFC 3442). */
export function encodeClasslessRoutes(routes: readonly { destination: Cidr; via: number }[]): Uint8Array {
  const bytes = new Uint8Array(routes.length * 9);
  let at = 0;
  for (const { destination, via } of routes) {
    const significant = Math.ceil(destination.prefix / 8);
    bytes[at++] = destination.prefix;
    for (let i = 0; i < significant; i++) bytes[at++] = destination.network >>> (24 - i * 8);
    writeU32(bytes, at, via);
    at += 4;
  }
  return bytes.slice(0, at);
}

/** The name in the value of option 81, labels joined by dots; undefined when it is malformed or empty. Never throws. */
export function parseClientFqdn(value: Uint8Array): string | undefined {
  if (value.length <= FQDN_HEADER_BYTES) return undefined;
  if ((value[0]! & FQDN_ENCODED) === 0) return latin1From(value, FQDN_HEADER_BYTES, value.length - FQDN_HEADER_BYTES);
  const labels: string[] = [];
  let at = FQDN_HEADER_BYTES;
  // A name without its root is one that the client did not finish (RFC 4702 §3.3.1).
  while (at < value.length && value[at] !== 0) {
    const length = value[at]!;
    if (length > DNS_MAX_LABEL_BYTES || at + 1 + length > value.length) return undefined;
    labels.push(latin1From(value, at + 1, length));
    at += 1 + length;
  }
  return labels.length === 0 ? undefined : labels.join('.');
}
