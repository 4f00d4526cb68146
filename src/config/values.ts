import { isUnixPath, UNIX_PATH_BYTES } from '../facts/unix-path.ts';
import { parseIpv4Address } from '../wire/ipv4-address.ts';

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

export const ipv4Address: ValueParser<number> = (raw) => {
  const address = typeof raw === 'string' ? parseIpv4Address(raw) : undefined;
  return address ?? new Mismatch('an IPv4 address such as 192.168.65.1');
};

/** A host name of letters, digits and hyphens, in lower case (RFC 1123 §2.1). */
export const hostName: ValueParser<string> = (raw) => {
  const name = typeof raw === 'string' ? raw.toLowerCase().replace(/\.$/, '') : '';
  const label = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
  return name.length > 0 && name.length <= 253 && name.split('.').every((part) => label.test(part))
    ? name
    : new Mismatch('a host name such as host.docker.internal');
};

/** A file of this computer, or of a guest, that a unix socket is at. */
export const socketPath: ValueParser<string> = (raw) =>
  isUnixPath(raw) ? raw : new Mismatch(`an absolute path of at most ${UNIX_PATH_BYTES} bytes such as /run/web.sock`);

/** How a value is shown after "found". */
export function shown(raw: unknown): string {
  if (raw === undefined) return 'nothing';
  const text = JSON.stringify(raw) ?? String(raw);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
