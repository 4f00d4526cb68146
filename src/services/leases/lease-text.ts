import type { LeaseRecord } from '../../dhcp/lease-record.ts';
import { type Cidr, cidrContains, formatCidr } from '../../wire/cidr.ts';
import { formatIpv4Address, parseIpv4Address } from '../../wire/ipv4-address.ts';
import { formatMac, parseMac } from '../../wire/mac.ts';

/** Raised when an older Slipway could not read what is written. */
const VERSION = 1;
const MAX_LEASES = 8_192;
const MAX_TEXT = 1_024;

/** The leases of `subnet` as JSON for people and programs: times are those of the wall clock, `null` is a lease without end. */
export function formatLeases(subnet: Cidr, records: readonly LeaseRecord[], wallMs: number): string {
  const leases = records.map(({ address, mac, clientKey, hostName, remainingMs, seenAgoMs }) => ({
    address: formatIpv4Address(address),
    mac: formatMac(mac),
    client: clientKey,
    name: hostName,
    ends: Number.isFinite(remainingMs) ? new Date(wallMs + remainingMs).toISOString() : null,
    seen: new Date(wallMs - seenAgoMs).toISOString(),
  }));
  return `${JSON.stringify({ version: VERSION, subnet: formatCidr(subnet), leases }, null, 1)}\n`;
}

/**
 * The leases in `text`, or why it is none of ours. A clock that was set back must not make a lease longer than it ever was:
 * what is left is at most the time from when the client was last heard to the end. Never throws.
 */
export function parseLeases(text: string, subnet: Cidr, wallMs: number): LeaseRecord[] | string {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return 'it is not JSON';
  }
  if (!isRecord(raw)) return 'it is not a list of leases';
  if (raw.version !== VERSION) return `its version is ${JSON.stringify(raw.version)}, not ${VERSION}`;
  if (raw.subnet !== formatCidr(subnet)) return `it is of the subnet ${JSON.stringify(raw.subnet)}`;
  if (!Array.isArray(raw.leases) || raw.leases.length > MAX_LEASES) return 'it is not a list of leases';
  const records: LeaseRecord[] = [];
  for (const [index, one] of raw.leases.entries()) {
    const record = isRecord(one) ? leaseOf(one, subnet, wallMs) : undefined;
    if (record === undefined) return `lease ${index} is not one of this subnet`;
    records.push(record);
  }
  return records;
}

function leaseOf(raw: Readonly<Record<string, unknown>>, subnet: Cidr, wallMs: number): LeaseRecord | undefined {
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

function isRecord(raw: unknown): raw is Readonly<Record<string, unknown>> {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw);
}
