import { isIP } from 'node:net';
import type { Nameserver } from '../../../facts/nameserver.ts';
import { DNS_PORT } from '../../../wire/dns-message.ts';

/** resolv.conf(5): MAXNS. */
const MAX_NAMESERVERS = 3;
/** resolv.conf(5): glibc before 2.26 took six; no reader of ours needs more. */
const MAX_SEARCH = 32;

/** What resolv.conf(5) says, as far as Slipway uses it; options are the C library's own affair. */
export interface ResolvConf {
  /** At most three, in the file's order, each at port 53. */
  readonly nameservers: readonly Nameserver[];
  /** The last `search` or `domain` line, without last dots; empty when there is none. */
  readonly search: readonly string[];
}

/** Reads the text of a resolv.conf. Skips what is not an address, as the C library does. */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: Nameserver[] = [];
  let search: readonly string[] = [];
  for (const line of text.split('\n')) {
    // A comment begins in the first column only, and a keyword must stand there too.
    if (/^[#;\s]/.test(line)) continue;
    const [keyword, ...values] = line.trim().split(/\s+/);
    const value = values[0] ?? '';
    if (keyword === 'nameserver' && isAddress(value)) nameservers.push({ address: value, port: DNS_PORT });
    if (keyword === 'domain') search = domains(values.slice(0, 1));
    if (keyword === 'search') search = domains(values);
  }
  return { nameservers: nameservers.slice(0, MAX_NAMESERVERS), search };
}

/** An address, for IPv6 perhaps with a zone ("fe80::1%eth0"). */
function isAddress(text: string): boolean {
  const [address = '', zone] = text.split('%', 2);
  return zone === undefined ? isIP(address) !== 0 : isIP(address) === 6 && zone !== '';
}

function domains(values: readonly string[]): readonly string[] {
  return values
    .map((domain) => domain.replace(/\.$/, ''))
    .filter((domain) => domain !== '')
    .slice(0, MAX_SEARCH);
}
