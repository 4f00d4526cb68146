/** getaddrinfo takes names of at most 253 characters (RFC 1035 §3.1: 255 octets on the wire). */
const MAX_CHARACTERS = 253;

/**
 * How a name may be looked up.
 * - 'host': by getaddrinfo, and as a raw question.
 * - 'address': inet_aton(3) would read it as an address ("1.2.3" as 1.2.0.3), which no question means.
 * - 'localhost': by getaddrinfo alone (RFC 6761 §6.3: such names never leave the computer).
 * - 'raw': getaddrinfo does not take it (escaped octets, the root, too long).
 */
export type LookupNameKind = 'host' | 'address' | 'localhost' | 'raw';

const ADDRESS = /^(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}$/;
const TAKEN_BY_GETADDRINFO = /^[a-z0-9_.-]+$/;

/** `name` is a key: lower case, no last dot. */
export function lookupNameKind(name: string): LookupNameKind {
  if (name.length > MAX_CHARACTERS || !TAKEN_BY_GETADDRINFO.test(name)) return 'raw';
  if (ADDRESS.test(name)) return 'address';
  return name === 'localhost' || name.endsWith('.localhost') ? 'localhost' : 'host';
}
