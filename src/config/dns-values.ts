import { parseIpv4Address } from '../wire/ipv4-address.ts';
import { parseIpv6Address } from '../wire/ipv6-address.ts';
import type { ConfiguredNameserver } from './dns-config.ts';
import { hostName, integer, Mismatch, type ValueParser } from './values.ts';
import { DNS_PORT } from '../wire/dns-message.ts';

/** A character-string of a TXT record (RFC 1035 §3.3). */
const TEXT_BYTES = 255;
/** Fits a message of 65,535 bytes with the rest of it. */
const ALL_TEXT_BYTES = 60_000;

const NAMESERVER = 'a nameserver such as 10.0.0.53, 127.0.0.1:5353, fd00::1 or "[fd00::1]:5353"';

/** An address, perhaps with a port; an IPv6 address with a port stands in brackets. */
export const nameserver: ValueParser<ConfiguredNameserver> = (raw) => {
  const text = typeof raw === 'string' ? raw : '';
  const match = /^\[([^\]]*)\](?::(\d{1,5}))?$/.exec(text) ?? /^([\d.]+)(?::(\d{1,5}))?$/.exec(text) ?? [text, text];
  const [, address = '', digits] = match;
  const port = digits === undefined ? DNS_PORT : Number(digits);
  if (!isAddress(address) || port < 1 || port > 65_535) return new Mismatch(NAMESERVER);
  return { address, port };
};

/** IPv4, or IPv6 perhaps with the zone of a link-local one ("fe80::1%eth0"). */
function isAddress(text: string): boolean {
  if (parseIpv4Address(text) !== undefined) return true;
  const [address = '', zone] = text.split('%', 2);
  return parseIpv6Address(address) !== undefined && (zone === undefined || /^[\w.-]+$/.test(zone));
}

/** An address of either family as text, IPv6 in lower case. */
export const ipAddress: ValueParser<string> = (raw) =>
  typeof raw === 'string' && (parseIpv4Address(raw) !== undefined || parseIpv6Address(raw) !== undefined)
    ? raw.toLowerCase()
    : new Mismatch('an address such as 192.168.1.9 or fd00::5');

export const ipv6Address: ValueParser<Uint8Array> = (raw) =>
  (typeof raw === 'string' ? parseIpv6Address(raw) : undefined) ?? new Mismatch('an IPv6 address such as fd00::5');

/** A record's name below its zone. */
export const recordName: ValueParser<string> = (raw) => {
  const text = typeof raw === 'string' ? raw.toLowerCase() : '';
  if (text === '@' || text === '*') return text;
  const name = hostName(text.replace(/^\*\./, ''));
  if (name instanceof Mismatch || text.endsWith('.')) {
    return new Mismatch('a name below the zone such as api, _sip._tcp or "*.k8s"; "@" for the zone itself');
  }
  return text.startsWith('*.') ? `*.${name}` : name;
};

/** The name that a record leads to, in full. '.' is the root: "there is none" of SRV (RFC 2782) and MX (RFC 7505). */
export const targetName: ValueParser<string> = (raw) => {
  if (raw === '.') return '';
  const name = hostName(raw);
  return name instanceof Mismatch ? new Mismatch('a whole name such as www.example.org') : name;
};

/** One text, cut into strings of 255 bytes, or a list of strings that are kept as they are. */
export const recordTexts: ValueParser<readonly Uint8Array[]> = (raw) => {
  const given = Array.isArray(raw) ? (raw as unknown[]) : [raw];
  const encoder = new TextEncoder();
  const texts = given.map((text) => (typeof text === 'string' ? encoder.encode(text) : undefined));
  const bytes = texts.reduce((sum, text) => sum + (text?.length ?? 0), 0);
  const tooLong = Array.isArray(raw) && texts.some((text) => (text?.length ?? 0) > TEXT_BYTES);
  if (texts.length === 0 || texts.includes(undefined) || tooLong || bytes > ALL_TEXT_BYTES) {
    return new Mismatch(`a text, or a list of texts of at most ${TEXT_BYTES} bytes each`);
  }
  return texts.flatMap((text) => chunks(text ?? new Uint8Array()));
};

function chunks(text: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < text.length; at += TEXT_BYTES) parts.push(text.slice(at, at + TEXT_BYTES));
  return parts;
}

export const u16: ValueParser<number> = integer(0, 65_535);
