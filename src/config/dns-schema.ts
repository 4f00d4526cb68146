import { z } from 'zod';
import type { DnsData } from '../wire/dns-data.ts';
import { type DnsInput, IPV6_ANSWERS } from './dns-config.ts';
import { ipAddress, ipv6Address, nameserver, recordName, recordTexts, targetName, u16 } from './dns-values.ts';
import { entries, list, oneOrMore, oneShapeOf, type ShapeChoice, value } from './schema-value.ts';
import { hostName, integer, ipv4Address, oneOf, yesOrNo } from './values.ts';
import type { ZoneDescription, ZoneRecord } from './zone-description.ts';

const MAX_NAMES = 1_024;
const MAX_NAMESERVERS = 16;
const MAX_ZONES = 1_024;
const MAX_RECORDS = 100_000;
const DAY_SECONDS = 86_400;

const ttlSeconds: z.ZodType<number> = value(integer(0, DAY_SECONDS));
const target = value(targetName);
const field = value(u16);

/** A record of one type: its own keys beside those of every record. */
function record<Shape extends z.ZodRawShape>(
  shape: Shape,
  data: (own: z.output<z.ZodObject<Shape>>) => DnsData,
): ShapeChoice<ZoneRecord> {
  const own = z.object(shape);
  const all = z.strictObject({
    name: value(recordName),
    type: z.unknown(),
    ttlSeconds: ttlSeconds.optional(),
    ...shape,
  });
  const schema = z.unknown().transform((raw, context): ZoneRecord => {
    const common = all.safeParse(raw);
    if (!common.success) {
      for (const issue of common.error.issues) context.issues.push({ ...issue, input: raw } as z.core.$ZodRawIssue);
      return z.NEVER;
    }
    const { name, ttlSeconds: ttl } = common.data as { readonly name: string; readonly ttlSeconds?: number };
    return { name, ...(ttl !== undefined && { ttlSeconds: ttl }), data: data(own.parse(raw)) };
  });
  return { schema, keys: Object.keys(all.shape) };
}

/** One of `dns.zones.records`. */
export const zoneRecordSchema: z.ZodType<ZoneRecord> = oneShapeOf('type', {
  A: record({ address: value(ipv4Address) }, ({ address }) => ({ type: 'A', address })),
  AAAA: record({ address: value(ipv6Address) }, ({ address }) => ({ type: 'AAAA', address })),
  CNAME: record({ target }, (own) => ({ type: 'CNAME', target: own.target })),
  NS: record({ target }, (own) => ({ type: 'NS', target: own.target })),
  PTR: record({ target }, (own) => ({ type: 'PTR', target: own.target })),
  TXT: record({ text: value(recordTexts) }, ({ text }) => ({ type: 'TXT', texts: text })),
  SRV: record({ priority: field, weight: field, port: field, target }, (own) => ({ type: 'SRV', ...own })),
  MX: record({ preference: field, exchange: target }, (own) => ({ type: 'MX', ...own })),
});

/** One of `dns.zones`. */
export const zoneSchema: z.ZodType<ZoneDescription> = z
  .strictObject({
    name: value(hostName),
    defaultAddress: value(ipv4Address).optional(),
    defaultAtApex: value(yesOrNo).optional(),
    ttlSeconds: ttlSeconds.optional(),
    records: z.array(zoneRecordSchema).max(MAX_RECORDS, `at most ${MAX_RECORDS} records`).default([]),
  })
  .superRefine(({ records }, context) => {
    for (const [index, problem] of [...aliasProblems(records), ...delegations(records)]) {
      context.addIssue({ code: 'custom', message: problem, path: ['records', index] });
    }
  });

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

const nameservers = list(nameserver, MAX_NAMESERVERS);

/** The key `dns` of the file. */
export const dnsSchema: z.ZodType<DnsInput> = z
  .strictObject({
    ttlSeconds,
    lookups: value(integer(1, 4096)),
    hostNames: z.array(value(hostName)),
    gatewayNames: z.array(value(hostName)),
    ipv6: value(oneOf(...IPV6_ANSWERS)),
    upstreams: nameservers,
    rules: entries(hostName, oneOrMore(nameserver), MAX_NAMES).transform((rules) =>
      rules.map(([domain, servers]) => ({ domain, nameservers: servers })),
    ),
    hosts: entries(hostName, oneOrMore(ipAddress), MAX_NAMES).transform((hosts) =>
      hosts.map(([name, addresses]) => ({ name, addresses })),
    ),
    zones: z
      .array(zoneSchema)
      .max(MAX_ZONES, `at most ${MAX_ZONES} zones`)
      .superRefine((zones, context) => {
        for (const [index, { name }] of zones.entries()) {
          if (zones.findIndex((other) => other.name === name) === index) continue;
          context.addIssue({ code: 'custom', message: `one zone of the name ${name}`, path: [index, 'name'] });
        }
      }),
    queriesPerSecond: value(integer(1, 10_000_000)),
    cache: z
      .strictObject({
        entries: value(integer(0, 1_000_000)),
        megabytes: value(integer(1, 4_096)),
        staleSeconds: value(integer(0, DAY_SECONDS)),
      })
      .partial(),
  })
  .partial();
