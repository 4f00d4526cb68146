import type { ZodType } from 'zod';
import type { CustomOption } from '../dhcp/dhcp-options.ts';
import type { SchemaParts } from './schema-parts.ts';
import { integer, ipv4Address, Mismatch, type ValueParser } from './values.ts';

const MAX_ADDRESSES = 16;
/** An option's data in one piece (RFC 2132 §2). */
export const OPTION_BYTES = 255;

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
/**
 * Requested address, overload, message type, server, parameter list, message, size, times, client, relay: the
 * protocol's own.
 */
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

const optionText: ValueParser<Uint8Array> = (raw) => {
  const bytes = typeof raw === 'string' ? new TextEncoder().encode(raw) : undefined;
  return bytes !== undefined && bytes.length >= 1 && bytes.length <= OPTION_BYTES
    ? bytes
    : new Mismatch('a text of 1 to 255 bytes');
};

/** A number of 1, 2 or 4 bytes, the highest first. */
function optionNumber(bytes: 1 | 2 | 4): ValueParser<Uint8Array> {
  const within = integer(0, 2 ** (8 * bytes) - 1);
  return (raw) => {
    const value = within(raw);
    if (value instanceof Mismatch) return value;
    return Uint8Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * (bytes - 1 - i))) & 0xff);
  };
}

function addressBytes(addresses: readonly number[]): Uint8Array {
  return Uint8Array.from(addresses.flatMap((one) => [one >>> 24, (one >>> 16) & 0xff, (one >>> 8) & 0xff, one & 0xff]));
}

/** Undefined if it is not hexadecimal, or empty. */
export function hexBytes(digits: string): Uint8Array | undefined {
  if (!/^(?:[0-9a-f]{2})+$/i.test(digits)) return undefined;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** The key `dhcp.options`: each option once. */
export function customOptionsSchema(parts: SchemaParts): ZodType<CustomOption[]> {
  return parts.z.array(customOptionSchema(parts)).superRefine((options, context) => {
    for (const [index, { code }] of options.entries()) {
      if (options.findIndex((other) => other.code === code) === index) continue;
      context.addIssue({ code: 'custom', message: 'each option code once', path: [index, 'code'] });
    }
  });
}

function customOptionSchema({ list, value, z }: SchemaParts): ZodType<CustomOption> {
  const data = {
    text: value(optionText),
    hex: value(optionHex),
    addresses: list(ipv4Address, MAX_ADDRESSES).min(1, 'at least one address').transform(addressBytes),
    u8: value(optionNumber(1)),
    u16: value(optionNumber(2)),
    u32: value(optionNumber(4)),
  };
  return z
    .strictObject({ code: value(optionCode), ...z.object(data).partial().shape })
    .transform(({ code, ...said }, context): CustomOption => {
      const [bytes, second] = Object.values(said).filter((one) => one !== undefined);
      if (bytes !== undefined && second === undefined) return { code, bytes };
      const message = `one of ${Object.keys(data).join(', ')} beside the code`;
      context.issues.push({ code: 'custom', message, input: { code, ...said } });
      return z.NEVER;
    });
}
