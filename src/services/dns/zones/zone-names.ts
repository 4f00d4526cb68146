import { DNS_MAX_NAME_BYTES, DnsName, dnsNameKey, parseDnsName, writeDnsName } from '../../../wire/dns-name.ts';

/**
 * Names of zones as keys: what `dnsNameKey` makes of a name as `parseDnsName` writes it, so one name has one key. The
 * root is ''. A dot or backslash inside a label has a backslash before it.
 */

const DOT = 0x2e;
const BACKSLASH = 0x5c;

const scratch = new Uint8Array(DNS_MAX_NAME_BYTES);
const parsed = new DnsName();

/**
 * The text that `parseDnsName` would give for a name that a person wrote: escapes of ordinary characters resolved, no
 * last dot, case kept. Undefined when it is no name; a character outside of printable ASCII needs an escape (or its
 * xn-- form).
 */
export function canonicalName(text: string): string | undefined {
  if (/[^\x21-\x7e]/.test(text)) return undefined;
  const length = writeDnsName(scratch, 0, scratch.length, text);
  if (length < 0 || parseDnsName(scratch, 0, 0, length, parsed) !== undefined) return undefined;
  return parsed.text;
}

/** `canonicalName` as a key. */
export function canonicalKey(text: string): string | undefined {
  const name = canonicalName(text);
  return name === undefined ? undefined : dnsNameKey(name);
}

/** The name without its first label; the root's is the root. */
export function parentKey(key: string): string {
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i);
    if (code === BACKSLASH) i++;
    else if (code === DOT) return key.slice(i + 1);
  }
  return '';
}

/** Where each label begins, the first one first; the root has none. */
export function labelStarts(key: string): number[] {
  const starts = key === '' ? [] : [0];
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i);
    if (code === BACKSLASH) i++;
    else if (code === DOT) starts.push(i + 1);
  }
  return starts;
}

/** `label` below `parent`. */
export function childKey(label: string, parent: string): string {
  return parent === '' ? label : `${label}.${parent}`;
}

/** Whether `key` is `ancestor` or below it. */
export function isAtOrBelow(key: string, ancestor: string): boolean {
  if (ancestor === '' || key === ancestor) return true;
  if (!key.endsWith(ancestor)) return false;
  const dotAt = key.length - ancestor.length - 1;
  return key.charCodeAt(dotAt) === DOT && !isEscaped(key, dotAt);
}

/** Whether a last dot makes the name absolute: one that belongs to no label. */
export function isAbsolute(text: string): boolean {
  const last = text.length - 1;
  return text.charCodeAt(last) === DOT && !isEscaped(text, last);
}

/** Whether an odd number of backslashes precedes the character at `at`. */
function isEscaped(text: string, at: number): boolean {
  let before = at;
  while (before > 0 && text.charCodeAt(before - 1) === BACKSLASH) before--;
  return (at - before) % 2 === 1;
}
