import { z } from 'zod';
import type { FlowJson } from '../contract.ts';
import type { ControlParts } from '../control-parts.ts';
import { flowJson, flowOfId } from '../flow-json.ts';
import type { ControlScope } from '../../server/control-server.ts';
import { invalidRequest, notFound } from '../../server/problem.ts';

/** A picture of as many takes about 10 ms of the network thread's time. */
const MOST_FLOWS = 10_000;
const FLOWS = 1_000;

const flowSchema: z.ZodType<FlowJson> = z
  .object({
    id: z.string().meta({ description: 'What DELETE takes' }),
    protocol: z.enum(['tcp', 'udp']),
    openedBy: z.enum(['guest', 'host']),
    guest: z.string(),
    remote: z.string().meta({ description: 'As the guest knows its peer' }),
    state: z.string(),
    bytesFromGuest: z.number(),
    bytesToGuest: z.number(),
  })
  .meta({ id: 'Flow' });

/** Conversations that cross the network now. */
export function flowRoutes(scope: ControlScope, { flows }: Pick<ControlParts, 'flows'>): void {
  scope.get(
    '/v1/flows',
    {
      schema: {
        summary: 'Flows, TCP first',
        tags: ['flows'],
        querystring: z.strictObject({ limit: z.coerce.number().int().min(1).max(MOST_FLOWS).default(FLOWS) }),
        response: { 200: z.array(flowSchema) },
      },
    },
    async ({ query }): Promise<FlowJson[]> => (await flows.list(query.limit)).map(flowJson),
  );
  scope.delete(
    '/v1/flows/:id',
    {
      schema: {
        summary: 'Ends a flow with a reset on both sides',
        tags: ['flows'],
        params: z.strictObject({ id: z.string() }),
        response: { 204: z.undefined() },
      },
    },
    async ({ params }, reply) => {
      const flow = flowOfId(params.id);
      if (flow === undefined) {
        throw invalidRequest('path.id: expected a flow such as tcp-192.168.65.3:40000-192.0.2.1:443');
      }
      if (!(await flows.kill(flow)))
        throw notFound(`there is no flow ${params.id}`, 'GET /v1/flows lists those there are.');
      return reply.code(204).send();
    },
  );
}
