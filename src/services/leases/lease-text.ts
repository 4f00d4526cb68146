import type { LeaseRecord } from '../../dhcp/lease-record.ts';
import { type Cidr, cidrContains } from '../../wire/cidr.ts';
import { formatIpv4Address, parseIpv4Address } from '../../wire/ipv4-address.ts';
import { formatMac, parseMac } from '../../wire/mac.ts';
import { formatSubnetList, type JsonObject, parseSubnetList } from '../subnet-list.ts';
import { MAX_LEASES } from './lease-book.ts';

const MAX_TEXT = 1_024;

/**
 * The leases of `subnet` as JSON for people and programs: times are those of the wall clock, `null` is a lease without
 * end.
 */
export function formatLeases(subnet: Cidr, records: readonly LeaseRecord[], wallMs: number): string {
  const leases = records.map(({ address, mac, clientKey, hostName, remainingMs, seenAgoMs }) => ({
    address: formatIpv4Address(address),
    mac: formatMac(mac),
    client: clientKey,
    name: hostName,
    ends: Number.isFinite(remainingMs) ? new Date(wallMs + remainingMs).toISOString() : null,
    seen: new Date(wallMs - seenAgoMs).toISOString(),
  }));
  return formatSubnetList(subnet, 'leases', leases);
}

/**
 * The leases in `text`, or why it is none of ours. A clock that was set back must not make a lease longer than it ever
 * was: what is left is at most the time from when the client was last heard to the end. Never throws.
 */
export function parseLeases(text: string, subnet: Cidr, wallMs: number): LeaseRecord[] | string {
  const read = (raw: JsonObject): LeaseRecord | undefined => leaseOf(raw, subnet, wallMs);
  return parseSubnetList(text, subnet, { name: 'leases', most: MAX_LEASES, read });
}

function leaseOf(raw: JsonObject, subnet: Cidr, wallMs: number): LeaseRecord | undefined {
  const address = parseIpv4Address(textOf(raw.address));
  const mac = parseMac(textOf(raw.mac));
  const clientKey = textOf(raw.client);
  const seen = Date.parse(textOf(raw.seen));
  const ends = raw.ends === null ? Number.POSITIVE_INFINITY : Date.parse(textOf(raw.ends));
  if (address === undefined || !cidrContains(subnet, address) || mac === undefined || clientKey === '')
    return undefined;
  if (typeof raw.name !== 'string' || raw.name.length > MAX_TEXT || Number.isNaN(seen) || Number.isNaN(ends)) {
    return undefined;
  }
  const remainingMs = Math.min(ends - wallMs, Math.max(0, ends - seen));
  return { address, mac, clientKey, hostName: raw.name, remainingMs, seenAgoMs: Math.max(0, wallMs - seen) };
}

/** '' for what is no text, which nothing here takes. */
function textOf(raw: unknown): string {
  return typeof raw === 'string' && raw.length <= MAX_TEXT ? raw : '';
}
