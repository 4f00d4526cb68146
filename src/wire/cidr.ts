import { formatIpv4Address, parseIpv4Address } from './ipv4-address.ts';

/** A range of IPv4 addresses (RFC 4632). All addresses are unsigned 32-bit numbers. */
export interface Cidr {
  /** The first address: host bits 0. */
  readonly network: number;
  /** 0 to 32. */
  readonly prefix: number;
  readonly mask: number;
  /** The last address: host bits 1. */
  readonly broadcast: number;
}

/** The range of `prefix` bits that `address` lies in. `prefix` 0 to 32. */
export function cidrOf(address: number, prefix: number): Cidr {
  const mask = maskOf(prefix);
  const network = (address & mask) >>> 0;
  return { network, prefix, mask, broadcast: (network | ~mask) >>> 0 };
}

/** '192.168.65.0/24'; undefined for any other text. Host bits that are set ('192.168.65.7/24') are cleared. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const address = parseIpv4Address(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  if (address === undefined || !/^(0|[1-9]\d?)$/.test(digits)) return undefined;
  const prefix = Number(digits);
  return prefix > 32 ? undefined : cidrOf(address, prefix);
}

/** '192.168.65.0/24' */
export function formatCidr(cidr: Cidr): string {
  return `${formatIpv4Address(cidr.network)}/${cidr.prefix}`;
}

/** The netmask of a prefix length. */
export function maskOf(prefix: number): number {
  return prefix === 0 ? 0 : (0xffff_ffff << (32 - prefix)) >>> 0;
}

/** Whether `address` is in the range, its network and broadcast address included. */
export function cidrContains(cidr: Cidr, address: number): boolean {
  return (address & cidr.mask) >>> 0 === cidr.network;
}

/** The first address that a host may have; in a /31 and /32 every address is one (RFC 3021). */
export function firstHost(cidr: Cidr): number {
  return cidr.prefix >= 31 ? cidr.network : cidr.network + 1;
}

/** The last address that a host may have. */
export function lastHost(cidr: Cidr): number {
  return cidr.prefix >= 31 ? cidr.broadcast : cidr.broadcast - 1;
}
