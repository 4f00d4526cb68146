import type { z as Zod, ZodObject, ZodRawShape, ZodType } from 'zod';
import { DNS_MAX_TEXT_BYTES, type DnsData } from '../wire/dns-data.ts';
import { parseIpv6Address } from '../wire/ipv6-address.ts';
import type { SchemaParts, ShapeChoice } from './schema-parts.ts';
import { hostName, integer, ipv4Address, Mismatch, type ValueParser, yesOrNo } from './values.ts';

/** A person's or a program's zones; each costs about a kilobyte. */
export const MAX_ZONES = 1_024;
/** 100,000 in all zones together: a record takes about 500 bytes, so 50 MB at the most. */
export const MAX_ZONE_RECORDS = 100_000;
/** Texts of one record fit a message of 65,535 bytes with the rest of it. */
const ALL_TEXT_BYTES = 60_000;
const DAY_SECONDS = 86_400;

/** A zone that Slipway answers for itself, as the configuration or the API gives it. Plain data. */
export interface ZoneDescription {
  /** In lower case, no last dot. */
  readonly name: string;
  /** IPv4 of every name of the zone that has no record of its own. */
  readonly defaultAddress?: number | undefined;
  /** The zone's own name has the default address too. */
  readonly defaultAtApex?: boolean | undefined;
  /** Of records without their own. */
  readonly ttlSeconds?: number | undefined;
  readonly records: readonly ZoneRecord[];
  /**
   * For names without a record of their own, in order; before '*' and the default address. gvproxy's zones have them.
   */
  readonly patterns?: readonly ZonePattern[] | undefined;
}

/**
 * Names that a regular expression (Go's syntax, looked for in the part before the zone's name) gives an IPv4
 * address.
 */
export interface ZonePattern {
  readonly expression: string;
  readonly address: number;
}

export interface ZoneRecord {
  /**
   * Below the zone's name: 'api', '_sip._tcp', '*.k8s'; '@' is the zone itself, '*' whatever has no record of its own.
   */
  readonly name: string;
  readonly ttlSeconds?: number | undefined;
  readonly data: DnsData;
}

/** How long an answer may be kept. */
export const ttlSeconds: ValueParser<number> = integer(0, DAY_SECONDS);

/** A record's name below its zone. */
export const recordName: ValueParser<string> = (raw) => {
  const text = typeof raw === 'string' ? raw.toLowerCase() : '';
  if (text === '@' || text === '*') return text;
  const name = hostName(text.replace(/^\*\./, ''));
  if (name instanceof Mismatch || text.endsWith('.')) {
    return new Mismatch('a name below the zone such as api, _sip._tcp or "*.k8s"; "@" for the zone itself');
  }
  return text.startsWith('*.') ? `*.${name}` : name;
};

/** The name that a record leads to, in full. '.' is the root: "there is none" of SRV (RFC 2782) and MX (RFC 7505). */
const targetName: ValueParser<string> = (raw) => {
  if (raw === '.') return '';
  const name = hostName(raw);
  return name instanceof Mismatch ? new Mismatch('a whole name such as www.example.org') : name;
};

/** One text, cut into strings of 255 bytes, or a list of strings that are kept as they are. */
export const recordTexts: ValueParser<readonly Uint8Array[]> = (raw) => {
  const given = Array.isArray(raw) ? (raw as unknown[]) : [raw];
  const encoder = new TextEncoder();
  const texts = given.map((text) => (typeof text === 'string' ? encoder.encode(text) : undefined));
  const bytes = texts.reduce((sum, text) => sum + (text?.length ?? 0), 0);
  const tooLong = Array.isArray(raw) && texts.some((text) => (text?.length ?? 0) > DNS_MAX_TEXT_BYTES);
  if (texts.length === 0 || texts.includes(undefined) || tooLong || bytes > ALL_TEXT_BYTES) {
    return new Mismatch(`a text, or a list of texts of at most ${DNS_MAX_TEXT_BYTES} bytes each`);
  }
  return texts.flatMap((text) => chunks(text ?? new Uint8Array()));
};

function chunks(text: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < text.length; at += DNS_MAX_TEXT_BYTES) {
    parts.push(text.slice(at, at + DNS_MAX_TEXT_BYTES));
  }
  return parts;
}

const ipv6Address: ValueParser<Uint8Array> = (raw) =>
  (typeof raw === 'string' ? parseIpv6Address(raw) : undefined) ?? new Mismatch('an IPv6 address such as fd00::5');

/** One of the records of a zone. */
export function zoneRecordSchema(parts: SchemaParts): ZodType<ZoneRecord> {
  const { oneShapeOf, value } = parts;
  const address = value(ipv4Address);
  const target = value(targetName);
  const field = value(integer(0, 65_535));
  return oneShapeOf('type', {
    A: recordShape(parts, { address }, (own) => ({ type: 'A', ...own })),
    AAAA: recordShape(parts, { address: value(ipv6Address) }, (own) => ({ type: 'AAAA', ...own })),
    CNAME: recordShape(parts, { target }, (own) => ({ type: 'CNAME', ...own })),
    NS: recordShape(parts, { target }, (own) => ({ type: 'NS', ...own })),
    PTR: recordShape(parts, { target }, (own) => ({ type: 'PTR', ...own })),
    TXT: recordShape(parts, { text: value(recordTexts) }, ({ text }) => ({ type: 'TXT', texts: text })),
    SRV: recordShape(parts, { priority: field, weight: field, port: field, target }, (own) => ({
      type: 'SRV',
      ...own,
    })),
    MX: recordShape(parts, { preference: field, exchange: target }, (own) => ({ type: 'MX', ...own })),
  });
}

/** A record of one type: its own keys beside those of every record. */
function recordShape<Shape extends ZodRawShape>(
  { z, value }: SchemaParts,
  shape: Shape,
  data: (own: Zod.output<ZodObject<Shape>>) => DnsData,
): ShapeChoice<ZoneRecord> {
  const own = z.object(shape);
  const all = z.strictObject({
    name: value(recordName),
    type: z.unknown(),
    ttlSeconds: value(ttlSeconds).optional(),
    ...shape,
  });
  const schema = z.unknown().transform((raw, context): ZoneRecord => {
    const common = all.safeParse(raw);
    if (!common.success) {
      for (const issue of common.error.issues) context.issues.push({ ...issue, input: raw } as Zod.core.$ZodRawIssue);
      return z.NEVER;
    }
    const { name, ttlSeconds: ttl } = common.data as { readonly name: string; readonly ttlSeconds?: number };
    return { name, ...(ttl !== undefined && { ttlSeconds: ttl }), data: data(own.parse(raw)) };
  });
  return { schema, keys: Object.keys(all.shape) };
}

/** One of `dns.zones`. */
export function zoneSchema(parts: SchemaParts): ZodType<ZoneDescription> {
  const { z, value } = parts;
  return z
    .strictObject({
      name: value(hostName),
      defaultAddress: value(ipv4Address).optional(),
      defaultAtApex: value(yesOrNo).optional(),
      ttlSeconds: value(ttlSeconds).optional(),
      records: z
        .array(zoneRecordSchema(parts))
        .max(MAX_ZONE_RECORDS, `at most ${MAX_ZONE_RECORDS} records`)
        .default([]),
    })
    .superRefine(({ records }, context) => {
      for (const [index, problem] of [...aliasProblems(records), ...delegations(records)]) {
        context.addIssue({ code: 'custom', message: problem, path: ['records', index] });
      }
    });
}

/** The key `dns.zones`. */
export function zonesSchema(parts: SchemaParts): ZodType<readonly ZoneDescription[]> {
  return parts.z
    .array(zoneSchema(parts))
    .max(MAX_ZONES, `at most ${MAX_ZONES} zones`)
    .superRefine((zones, context) => {
      for (const [index, { name }] of zones.entries()) {
        if (zones.findIndex((other) => other.name === name) === index) continue;
        context.addIssue({ code: 'custom', message: `one zone of the name ${name}`, path: [index, 'name'] });
      }
    });
}

/** A CNAME is the only record of its name (RFC 1034 §3.6.2), and the zone's own name always has others. */
function aliasProblems(records: readonly ZoneRecord[]): [number, string][] {
  const counts = new Map<string, number>();
  for (const { name } of records) counts.set(name, (counts.get(name) ?? 0) + 1);
  return records.flatMap(({ name, data }, index): [number, string][] => {
    if (data.type !== 'CNAME') return [];
    if (name === '@') return [[index, 'a CNAME below the zone: the zone itself cannot be one (RFC 1034)']];
    return (counts.get(name) ?? 0) > 1 ? [[index, `no other record of ${name} beside its CNAME (RFC 1034)`]] : [];
  });
}

/** A referral would follow, which no guest's resolver goes after. */
function delegations(records: readonly ZoneRecord[]): [number, string][] {
  return records.flatMap(({ name, data }, index): [number, string][] =>
    data.type === 'NS' && name !== '@' ? [[index, 'an NS record at "@" only: no part of a zone is delegated']] : [],
  );
}
