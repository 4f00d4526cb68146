import { z } from 'zod';
import { type DescribedRecord, describeMessage } from '../../../services/dns/described-message.ts';
import { explainedStep } from '../../../services/dns/explained-step.ts';
import { RecordedTrace } from '../../../services/dns/lookup-trace.ts';
import { dnsTypeName, dnsTypeNumber } from '../../../wire/dns-message.ts';
import type { LookupJson } from '../contract.ts';
import type { ControlParts } from '../control-parts.ts';
import type { ControlScope } from '../../server/control-server.ts';
import { invalidRequest } from '../../server/problem.ts';

const record: z.ZodType<DescribedRecord> = z
  .object({ name: z.string(), ttlSeconds: z.int(), type: z.string(), data: z.string() })
  .meta({ id: 'AnswerRecord' });

const lookupSchema: z.ZodType<LookupJson> = z
  .object({
    name: z.string(),
    type: z.string(),
    rcode: z.string(),
    authoritative: z.boolean(),
    authenticated: z.boolean(),
    answer: z.array(record),
    authority: z.array(record),
    additional: z.array(record),
    extendedError: z.object({ code: z.int(), text: z.string() }).optional(),
    steps: z.array(z.unknown()).optional().meta({ description: 'The steps of the lookup; with explain' }),
    explanation: z.array(z.string()).optional().meta({ description: 'The same in words' }),
    ms: z.number(),
  })
  .meta({ id: 'Lookup' });

/** A word of a query. */
const yes = z.enum(['true', 'false', '']).default('false').meta({ description: 'true, or the bare word' });

/** Questions to the DNS servers of the gateway, as a guest would ask them. */
export function lookupRoutes(scope: ControlScope, { lookups }: Pick<ControlParts, 'lookups'>): void {
  scope.get(
    '/v1/dns/lookup',
    {
      schema: {
        summary: 'The answer that a guest would get, and the steps to it',
        tags: ['dns'],
        querystring: z.strictObject({
          name: z.string().max(1_024),
          type: z.string().max(32).default('A').meta({ description: 'A, AAAA, MX, TYPE65, …' }),
          explain: yes,
          dnssec: yes,
          server: z.enum(['all', 'internal']).default('all'),
        }),
        response: { 200: lookupSchema },
      },
    },
    async ({ query }): Promise<LookupJson> => {
      const type = dnsTypeNumber(query.type);
      if (type === undefined)
        throw invalidRequest(`query.type: expected a record type such as AAAA, found ${JSON.stringify(query.type)}`);
      const trace = new RecordedTrace();
      const startMs = performance.now();
      const dnssecOk = query.dnssec !== 'false';
      const message = await lookups.lookup({ name: query.name, type, trace, dnssecOk, server: query.server });
      const ms = Math.round((performance.now() - startMs) * 1000) / 1000;
      const { answer, authority, additional, ...rest } = describeMessage(message);
      return {
        name: query.name,
        type: dnsTypeName(type),
        ...rest,
        answer,
        authority,
        additional,
        ...(query.explain !== 'false' && { steps: trace.steps, explanation: trace.steps.map(explainedStep) }),
        ms,
      };
    },
  );
  scope.post(
    '/v1/dns/flush',
    { schema: { summary: 'Forgets every answer in the cache', tags: ['dns'], response: { 204: z.undefined() } } },
    async (_request, reply) => {
      lookups.flush();
      return reply.code(204).send();
    },
  );
}
