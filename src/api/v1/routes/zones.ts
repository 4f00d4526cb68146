import { z } from 'zod';
import { MAX_ZONE_RECORDS, recordName, zoneRecordSchema, zoneSchema } from '../../../config/dns-zones.ts';
import { schemaParts, value } from '../../../config/schema-parts.ts';
import { hostName, Mismatch, oneOf, shown as shownValue } from '../../../config/values.ts';
import type { RecordSelector } from '../../../services/dns/zones/zone-store.ts';
import type { RecordJson, ZoneJson } from '../contract.ts';
import type { ControlParts } from '../control-parts.ts';
import type { ControlScope } from '../../server/control-server.ts';
import { invalidRequest, notFound } from '../../server/problem.ts';
import { askedZone } from '../read-only.ts';
import { zoneJson } from '../zone-json.ts';

/** 100,000 records with names of usual length. */
const ZONE_BYTES = 32 * 1024 * 1024;
const RECORD_TYPES = ['A', 'AAAA', 'CNAME', 'NS', 'PTR', 'TXT', 'SRV', 'MX'] as const;

const recordJsonSchema: z.ZodType<RecordJson> = z
  .looseObject({ name: z.string(), type: z.string(), ttlSeconds: z.int().optional() })
  .meta({ id: 'Record', description: 'As in dns.zones.records of the configuration' });

const zoneJsonSchema: z.ZodType<ZoneJson> = z
  .object({
    name: z.string(),
    defaultAddress: z.ipv4().optional(),
    defaultAtApex: z.boolean().optional(),
    ttlSeconds: z.int().optional(),
    records: z.array(recordJsonSchema),
    serial: z.int(),
    builtIn: z.boolean().meta({ description: 'The zone is built in and cannot be removed' }),
    standing: z.array(recordJsonSchema).meta({ description: 'Built-in records of the zone' }),
  })
  .meta({ id: 'Zone' });

const recordBody = zoneRecordSchema(schemaParts);

const selectorByName = z.strictObject({ name: value(recordName), type: value(oneOf(...RECORD_TYPES)).optional() });

/** All records of a name, those of a name and type, or one in full. */
const selector: z.ZodType<RecordSelector> = z
  .unknown()
  .transform((raw, context): RecordSelector => {
    const few =
      typeof raw === 'object' && raw !== null && Object.keys(raw).every((key) => key === 'name' || key === 'type');
    const result: z.ZodSafeParseResult<RecordSelector> = (few ? selectorByName : recordBody).safeParse(raw);
    if (result.success) return result.data;
    for (const issue of result.error.issues) context.issues.push({ ...issue, input: raw } as z.core.$ZodRawIssue);
    return z.NEVER;
  })
  .meta({ type: 'object', description: 'A name, a name with its type, or a whole record' });

const NAME = z.strictObject({ name: z.string() });

/** What the internal DNS server answers. */
export function zoneRoutes(scope: ControlScope, { zones }: Pick<ControlParts, 'zones'>): void {
  const shown = (name: string): ZoneJson => {
    const zone = zones.list().find((one) => one.name === canonical(name));
    if (zone === undefined) throw notFound(`there is no zone ${name}`, 'GET /v1/dns/zones lists all zones.');
    return zoneJson(zone);
  };
  scope.get(
    '/v1/dns/zones',
    {
      schema: {
        summary: 'All zones, the built-in ones first',
        tags: ['dns'],
        response: { 200: z.array(zoneJsonSchema) },
      },
    },
    (): ZoneJson[] => zones.list().map(zoneJson),
  );
  scope.get(
    '/v1/dns/zones/:name',
    { schema: { summary: 'One zone', tags: ['dns'], params: NAME, response: { 200: zoneJsonSchema } } },
    ({ params }) => shown(params.name),
  );
  scope.put(
    '/v1/dns/zones/:name',
    {
      bodyLimit: ZONE_BYTES,
      schema: {
        summary: 'Sets a zone and replaces one of the same name; the body may leave out the name',
        tags: ['dns'],
        params: NAME,
        body: zoneSchema(schemaParts),
        response: { 200: zoneJsonSchema },
      },
      preValidation: async (request) => {
        const { name } = request.params as { readonly name: string };
        const named = hostName(name);
        // It goes into the body, where an error would speak of a field that nobody sent.
        if (named instanceof Mismatch) {
          throw invalidRequest(`path.name: expected ${named.expected}, found ${shownValue(name)}`);
        }
        const body = askedZone(request.body);
        if (typeof body !== 'object' || body === null || Array.isArray(body)) return;
        const said = (body as { readonly name?: unknown }).name;
        if (said !== undefined && (typeof said !== 'string' || canonical(said) !== canonical(name))) {
          throw invalidRequest(`body.name: expected ${name} or nothing, found ${shownValue(said)}`);
        }
        request.body = { ...body, name } as never;
      },
    },
    ({ params, body }) => {
      zones.setZone(body);
      return shown(params.name);
    },
  );
  scope.delete(
    '/v1/dns/zones/:name',
    {
      schema: {
        summary: 'Removes what was set under the name; built-in records stay',
        tags: ['dns'],
        params: NAME,
        response: { 204: z.undefined() },
      },
    },
    async ({ params }, reply) => {
      if (!zones.removeZone(params.name))
        throw notFound(`no zone ${params.name} was set`, 'GET /v1/dns/zones lists all zones.');
      return reply.code(204).send();
    },
  );
  scope.post(
    '/v1/dns/zones/:name/records',
    {
      bodyLimit: ZONE_BYTES,
      schema: {
        summary: 'Adds records; a record that exists already takes the new TTL',
        tags: ['dns'],
        params: NAME,
        body: z.strictObject({ records: z.array(recordBody).min(1).max(MAX_ZONE_RECORDS) }),
        response: { 200: zoneJsonSchema },
      },
    },
    ({ params, body }) => {
      shown(params.name);
      zones.addRecords(params.name, body.records);
      return shown(params.name);
    },
  );
  scope.delete(
    '/v1/dns/zones/:name/records',
    {
      bodyLimit: ZONE_BYTES,
      schema: {
        summary: 'Removes records and says how many',
        tags: ['dns'],
        params: NAME,
        body: z.strictObject({ records: z.array(selector).min(1).max(MAX_ZONE_RECORDS) }),
        response: { 200: z.object({ removed: z.int() }) },
      },
    },
    ({ params, body }) => {
      shown(params.name);
      return { removed: zones.removeRecords(params.name, body.records) };
    },
  );
}

function canonical(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}
