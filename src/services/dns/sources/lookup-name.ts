import { DNS_TYPE_A, DNS_TYPE_AAAA } from '../../../wire/dns-message.ts';
import type { DnsQuery } from '../dns-query.ts';
import type { AddressFamily } from './host-resolver.ts';

/** getaddrinfo takes names of at most 253 characters (RFC 1035 §3.1: 255 octets on the wire). */
const MAX_CHARACTERS = 253;

/**
 * How a name may be looked up.
 * - 'host': by getaddrinfo, and as a raw question.
 * - 'address': inet_aton(3) would read it as an address ("1.2.3" as 1.2.0.3), which no question means.
 * - 'localhost': by getaddrinfo alone (RFC 6761 §6.3: such names never leave the computer).
 * - 'raw': getaddrinfo does not take it (escaped octets, the root, too long).
 */
type LookupNameKind = 'host' | 'address' | 'localhost' | 'raw';

const ADDRESS = /^(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}$/;
const TAKEN_BY_GETADDRINFO = /^[a-z0-9_.-]+$/;

/** `name` is a key: lower case, no last dot. */
export function lookupNameKind(name: string): LookupNameKind {
  if (name.length > MAX_CHARACTERS || !TAKEN_BY_GETADDRINFO.test(name)) return 'raw';
  if (ADDRESS.test(name)) return 'address';
  return name === 'localhost' || name.endsWith('.localhost') ? 'localhost' : 'host';
}

/** The family of the addresses that are asked for; undefined for another type. */
export function addressFamily({ question }: DnsQuery): AddressFamily | undefined {
  if (question.type === DNS_TYPE_A) return 4;
  return question.type === DNS_TYPE_AAAA ? 6 : undefined;
}

/**
 * Whether the operating system can have a part in the answer: it knows addresses alone, and a question without RD
 * asks for nothing but what the nameservers know.
 */
export function asksTheHost(query: DnsQuery): boolean {
  return query.question.recursionDesired && addressFamily(query) !== undefined;
}
