import { clientKey } from '../dhcp/dhcp-client.ts';
import type { Cidr } from '../wire/cidr.ts';
import { formatCidr, parseCidr } from '../wire/cidr.ts';
import { parseMac } from '../wire/mac.ts';
import { hostName, integer, Mismatch, type ValueParser } from './values.ts';

/** An option's data in one piece (RFC 2132 §2). */
const OPTION_BYTES = 255;

/** What else sets an option, or why nobody does. */
const TAKEN_OPTIONS: Readonly<Record<number, string>> = {
  1: 'network.subnet',
  3: 'network.gateway',
  6: 'dhcp.dns',
  12: 'dhcp.reservations',
  15: 'dhcp.domain',
  26: 'network.mtu',
  28: 'network.subnet',
  42: 'dhcp.ntp',
  51: 'dhcp.leaseSeconds',
  119: 'dhcp.search',
  121: 'dhcp.routes',
};
/** Requested address, overload, message type, server, parameter list, message, size, times, client, relay: the protocol's own. */
const PROTOCOL_OPTIONS: ReadonlySet<number> = new Set([50, 52, 53, 54, 55, 56, 57, 58, 59, 61, 82]);

export const optionCode: ValueParser<number> = (raw) => {
  const code = integer(1, 254)(raw);
  if (code instanceof Mismatch) return code;
  const key = TAKEN_OPTIONS[code];
  if (key !== undefined) return new Mismatch(`an option without a key of its own (${code} is set by ${key})`);
  return PROTOCOL_OPTIONS.has(code)
    ? new Mismatch('an option that the protocol itself does not use (RFC 2132 §9)')
    : code;
};

/** Data of a custom option; each form is a key of its own beside `code`. */
export const optionHex: ValueParser<Uint8Array> = (raw) => {
  const bytes = typeof raw === 'string' ? hexBytes(raw.replaceAll(/[\s:]/g, '')) : undefined;
  return bytes !== undefined && bytes.length <= OPTION_BYTES
    ? bytes
    : new Mismatch('1 to 255 bytes in hexadecimal such as "0a:00:ff"');
};

export const optionText: ValueParser<Uint8Array> = (raw) => {
  const bytes = typeof raw === 'string' ? new TextEncoder().encode(raw) : undefined;
  return bytes !== undefined && bytes.length >= 1 && bytes.length <= OPTION_BYTES
    ? bytes
    : new Mismatch('a text of 1 to 255 bytes');
};

/** A number of 1, 2 or 4 bytes, the highest first. */
export function optionNumber(bytes: 1 | 2 | 4): ValueParser<Uint8Array> {
  const within = integer(0, 2 ** (8 * bytes) - 1);
  return (raw) => {
    const value = within(raw);
    if (value instanceof Mismatch) return value;
    return Uint8Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * (bytes - 1 - i))) & 0xff);
  };
}

export function addressBytes(addresses: readonly number[]): Uint8Array {
  return Uint8Array.from(addresses.flatMap((one) => [one >>> 24, (one >>> 16) & 0xff, (one >>> 8) & 0xff, one & 0xff]));
}

export const macAddress: ValueParser<number> = (raw) => {
  const mac = typeof raw === 'string' ? parseMac(raw) : undefined;
  // The lowest bit of the first byte makes a group of it, which sends nothing.
  return mac !== undefined && mac !== 0 && Math.floor(mac / 2 ** 40) % 2 === 0
    ? mac
    : new Mismatch('the MAC address of one card such as 5a:94:ef:00:00:01');
};

/**
 * A client identifier (option 61) as the keys that leases know it by. Hexadecimal ("01:5a:94:…", "0xff00…") is taken byte for
 * byte. Text has two forms on the wire, by itself (dhclient) and after a type byte of 0 (RFC 2132 §9.14, dhcpcd): both are meant.
 */
export const clientIdentifier: ValueParser<readonly string[]> = (raw) => {
  const expected = 'a client identifier: text of 2 to 254 bytes, or hexadecimal such as "01:5a:94:ef:00:00:01"';
  if (typeof raw !== 'string') return new Mismatch(expected);
  const hex = /^0x((?:[0-9a-f]{2})+)$/i.exec(raw)?.[1] ?? (/^[0-9a-f]{2}(:[0-9a-f]{2})+$/i.test(raw) ? raw : undefined);
  if (hex !== undefined) {
    const bytes = hexBytes(hex.replaceAll(':', ''));
    if (bytes === undefined || bytes.length < 2 || bytes.length > OPTION_BYTES) return new Mismatch(expected);
    return [
      clientKey(
        bytes,
        bytes.slice(1).reduce((mac, byte) => mac * 256 + byte, 0),
      ),
    ];
  }
  const text = new TextEncoder().encode(raw);
  if (text.length < 2 || text.length >= OPTION_BYTES) return new Mismatch(expected);
  return [clientKey(text, 0), clientKey(Uint8Array.of(0, ...text), 0)];
};

function hexBytes(digits: string): Uint8Array | undefined {
  if (!/^(?:[0-9a-f]{2})+$/i.test(digits)) return undefined;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** The destination of a static route; the default route is always the gateway's (RFC 3442). */
export const routeDestination: ValueParser<Cidr> = (raw) => {
  const cidr = typeof raw === 'string' ? parseCidr(raw) : undefined;
  if (cidr === undefined || cidr.prefix === 0) return new Mismatch('a network such as 10.0.0.0/8, prefix 1 to 32');
  return formatCidr(cidr) === raw ? cidr : new Mismatch(`the address of the network, ${formatCidr(cidr)}`);
};

/** One label: it becomes NAME.vm.docker.internal. */
export const clientName: ValueParser<string> = (raw) => {
  const name = typeof raw === 'string' && !raw.includes('.') ? hostName(raw) : undefined;
  return typeof name === 'string' && /^[a-z0-9-]+$/.test(name)
    ? name
    : new Mismatch('a name without dots, of letters, digits and hyphens, such as web');
};

/** '' for none. */
export const domainName: ValueParser<string> = (raw) => (raw === '' ? '' : hostName(raw));
