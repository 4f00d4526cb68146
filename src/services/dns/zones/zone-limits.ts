import { SlipwayError } from '../../../facts/errors.ts';
import { recordError, type StoredRecord } from './zone-record.ts';
import { MAX_ZONE_RECORDS, MAX_ZONES } from '../../../config/dns-zones.ts';

/** 16 MiB of record data: what TXT records could otherwise make of it has no end. */
export const MAX_ZONE_BYTES: number = 16 * 1024 * 1024;
/** 32 KiB at one name: its records, and the chain that leads there, fit in one message over TCP. */
export const MAX_NAME_BYTES: number = 32 * 1024;

/** Throws SlipwayError ERR_DNS_ZONE when one more zone is too many. */
export function checkZoneCount(zones: number): void {
  if (zones < MAX_ZONES) return;
  throw new SlipwayError('ERR_DNS_ZONE', `there are ${MAX_ZONES} zones already`, 'Remove one first.');
}

/** How much all zones together hold. */
export class ZoneRoom {
  #records = 0;
  #bytes = 0;

  /** Throws SlipwayError ERR_DNS_ZONE when `after` in the place of `before` is too much. */
  check(after: readonly StoredRecord[], before: readonly StoredRecord[]): void {
    if (this.#records + after.length - before.length > MAX_ZONE_RECORDS) {
      const why = `all zones together would have more than ${MAX_ZONE_RECORDS} records`;
      throw new SlipwayError('ERR_DNS_ZONE', why, 'Replace many records by a wildcard or a default address.');
    }
    if (this.#bytes + bytesOf(after) - bytesOf(before) > MAX_ZONE_BYTES) {
      const why = `the records of all zones would take more than ${MAX_ZONE_BYTES} bytes`;
      throw new SlipwayError('ERR_DNS_ZONE', why, 'Shorten or remove TXT records.');
    }
  }

  /** `after` is in the place of `before` now. */
  count(after: readonly StoredRecord[], before: readonly StoredRecord[]): void {
    this.#records += after.length - before.length;
    this.#bytes += bytesOf(after) - bytesOf(before);
  }
}

/** Of records that are the same (RFC 2181 §5) the last, which has the newest TTL, in the place of the first. */
export function unique(records: readonly StoredRecord[]): StoredRecord[] {
  return [...new Map(records.map((record) => [`${record.key} ${record.identity}`, record])).values()];
}

function bytesOf(records: readonly StoredRecord[]): number {
  return records.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** What records of one name must be together. `records`: all that the names in it will have. */
export function checkNames(zone: string, records: readonly StoredRecord[]): void {
  const names = new Map<string, { count: number; bytes: number; alias: boolean }>();
  for (const { key, record, bytes } of records) {
    const name = names.get(key) ?? { count: 0, bytes: 0, alias: false };
    names.set(key, name);
    name.count++;
    name.bytes += bytes;
    name.alias ||= record.data.type === 'CNAME';
    if (name.alias && name.count > 1) {
      throw recordError(
        record.name,
        zone,
        'is beside a CNAME',
        'A CNAME is the only record of its name (RFC 1034 §3.6.2).',
      );
    }
    if (name.bytes > MAX_NAME_BYTES) {
      const hint = 'Use fewer or shorter records.';
      throw recordError(
        record.name,
        zone,
        `makes more than ${MAX_NAME_BYTES} bytes at one name, too much for an answer`,
        hint,
      );
    }
  }
}
