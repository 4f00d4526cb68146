import { type Cidr, formatCidr, parseCidr } from '../wire/cidr.ts';
import { parseIpv4Address } from '../wire/ipv4-address.ts';
import { type AttachmentUrl, parseListenUrl } from './listen-url.ts';
import { isUnixPath } from '../facts/unix-path.ts';

/** Why a value does not fit: the words after "expected". */
export class Mismatch {
  readonly expected: string;
  /** What fits, as JSON Schema, where that says more than the words. */
  readonly json: Readonly<Record<string, unknown>>;

  constructor(expected: string, json: Mismatch['json'] = {}) {
    this.expected = expected;
    this.json = json;
  }
}

/** What a key of the file or a flag takes; both use the same one, so both say the same. Never throws. */
export type ValueParser<T> = (raw: unknown) => T | Mismatch;

/** An integer within bounds, both included. A flag's decimal text counts as a number (`fromText`). */
export function integer(least: number, most: number): ValueParser<number> {
  return (raw) =>
    typeof raw === 'number' && Number.isInteger(raw) && raw >= least && raw <= most
      ? raw
      : new Mismatch(`an integer from ${least} to ${most}`, { type: 'integer', minimum: least, maximum: most });
}

/** One of a few words. */
export function oneOf<const T extends string>(...words: readonly T[]): ValueParser<T> {
  return (raw) => words.find((word) => word === raw) ?? new Mismatch(`one of ${words.join(', ')}`, { enum: words });
}

export const yesOrNo: ValueParser<boolean> = (raw) =>
  typeof raw === 'boolean' ? raw : new Mismatch('true or false', { type: 'boolean' });

/** 576: the least that every IPv4 host must take (RFC 791). 65520: what fits in one IP packet of 65,535 bytes, rounded down to 16. */
export const mtuBytes: ValueParser<number> = integer(576, 65520);

export const ipv4Address: ValueParser<number> = (raw) => {
  const address = typeof raw === 'string' ? parseIpv4Address(raw) : undefined;
  return address ?? new Mismatch('an IPv4 address such as 192.168.65.1');
};

/** 8 to 29: a gateway, the host address and at least one guest must fit. */
export const subnet: ValueParser<Cidr> = (raw) => {
  const cidr = typeof raw === 'string' ? parseCidr(raw) : undefined;
  if (cidr === undefined || cidr.prefix < 8 || cidr.prefix > 29) {
    return new Mismatch('a subnet such as 192.168.65.0/24, with a prefix from 8 to 29');
  }
  // Host bits that are set are more often a slip than meant: say which network it would be.
  return formatCidr(cidr) === raw ? cidr : new Mismatch(`the address of the network, ${formatCidr(cidr)}`);
};

export const listenUrl: ValueParser<AttachmentUrl> = (raw) => {
  const parsed = parseListenUrl(typeof raw === 'string' ? raw : '');
  return typeof parsed === 'string' ? new Mismatch(parsed) : parsed;
};

/** A host name of letters, digits and hyphens, in lower case (RFC 1123 §2.1). */
export const hostName: ValueParser<string> = (raw) => {
  const name = typeof raw === 'string' ? raw.toLowerCase().replace(/\.$/, '') : '';
  const label = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
  return name.length > 0 && name.length <= 253 && name.split('.').every((part) => label.test(part))
    ? name
    : new Mismatch('a host name such as host.docker.internal');
};

/** A folder's path that means the same wherever the process was started. */
export const folder: ValueParser<string> = (raw) =>
  typeof raw === 'string' && raw.startsWith('/') && !raw.includes('\0')
    ? raw
    : new Mismatch('an absolute path of a folder');

/** Where the privileged helper listens; 'none' asks nobody. */
export const helperSocket: ValueParser<string> = (raw) =>
  raw === 'none' || isUnixPath(raw) ? raw : new Mismatch('the absolute path of a socket, or none');

/** How a value is shown after "found". */
export function shown(raw: unknown): string {
  if (raw === undefined) return 'nothing';
  const text = JSON.stringify(raw) ?? String(raw);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
