import { z } from 'zod';
import { SlipwayError } from '../../../facts/errors.ts';
import {
  FORWARD_PROTOCOLS,
  FORWARD_SOURCES,
  FORWARD_STATES,
  type ForwardSpec,
  GUEST_LISTENS,
  PROXY_HEADERS,
} from '../../../config/forward.ts';
import { similarForwards } from '../../../services/forward/similar-forwards.ts';
import type { Forwards } from '../../../services/forward/forwards.ts';
import type { ForwardJson } from '../contract.ts';
import type { ControlParts } from '../control-parts.ts';
import type { ControlScope } from '../../server/control-server.ts';
import { forwardJson } from '../forward-json.ts';
import { addAll, newForwards } from '../new-forwards.ts';

const sshSchema = z.object({
  user: z.string(),
  path: z.string(),
  keyFile: z.string(),
  port: z.int(),
  address: z.ipv4().optional(),
});

export const forwardSchema: z.ZodType<ForwardJson> = z
  .object({
    id: z.string(),
    protocol: z.enum(FORWARD_PROTOCOLS),
    host: z.string().meta({ description: '"*:8080", "127.0.0.1:8000-8100", or the path of a unix socket' }),
    guest: z.string().optional().meta({ description: '"80", "192.168.65.3:80", "9000-9100"; absent with ssh' }),
    ssh: sshSchema.optional(),
    count: z.int().meta({ description: 'Ports in a row' }),
    ipv4Only: z.boolean(),
    source: z.enum(FORWARD_SOURCES),
    proxy: z.enum(PROXY_HEADERS),
    waitSeconds: z.number(),
    persistent: z.boolean(),
    owner: z.custom<ForwardSpec['owner']>((text) => typeof text === 'string').meta({ type: 'string' }),
    state: z.enum(FORWARD_STATES),
    why: z.string().meta({ description: 'A sentence for a person; empty while it listens' }),
    code: z.string(),
    reaches: z.string().meta({ description: 'The address of the guest that clients reach; empty while there is none' }),
    guestListens: z.enum(GUEST_LISTENS).meta({
      description: 'unseen: nothing sees the guest’s sockets, so a client that it refuses is accepted and reset',
    }),
    note: z.string().meta({ description: 'What differs from the usual for clients that are served; usually empty' }),
    boundPort: z.int().meta({ description: 'The first port that is bound; what the host chose for 0' }),
    connections: z.int(),
    descriptors: z.int(),
  })
  .meta({ id: 'Forward' });

const ID = z.strictObject({ id: z.string() });

/** Ports of this computer that reach a guest. */
export function forwardRoutes(scope: ControlScope, { forwards }: Pick<ControlParts, 'forwards'>): void {
  scope.get(
    '/v1/forwards',
    { schema: { summary: 'All forwards, by id', tags: ['forwards'], response: { 200: z.array(forwardSchema) } } },
    async (): Promise<ForwardJson[]> => {
      await forwards.refresh();
      return forwards.list().map(forwardJson);
    },
  );
  scope.post(
    '/v1/forwards',
    {
      schema: {
        summary: 'Publishes ports; all of them, or none',
        tags: ['forwards'],
        body: newForwards,
        response: { 201: z.array(forwardSchema) },
      },
    },
    async ({ body }, reply) => reply.code(201).send(await addAll(forwards, body)),
  );
  scope.get(
    '/v1/forwards/:id',
    { schema: { summary: 'One forward', tags: ['forwards'], params: ID, response: { 200: forwardSchema } } },
    async ({ params }): Promise<ForwardJson> => {
      await forwards.refresh();
      const status = forwards.get(params.id);
      if (status === undefined) throw noForward(params.id, forwards);
      return forwardJson(status);
    },
  );
  scope.delete(
    '/v1/forwards/:id',
    {
      schema: {
        summary: 'Closes a forward; its connections go on unless connections=reset',
        tags: ['forwards'],
        params: ID,
        querystring: z.strictObject({ connections: z.enum(['keep', 'reset']).default('keep') }),
        response: { 204: z.undefined() },
      },
    },
    async ({ params, query }, reply) => {
      const removed = await forwards.close(params.id, { connections: query.connections === 'reset' });
      if (!removed) throw noForward(params.id, forwards);
      return reply.code(204).send();
    },
  );
}

function noForward(id: string, forwards: Forwards): SlipwayError {
  const similar = similarForwards(
    id,
    forwards.list().map((one) => one.id),
  );
  const meant = similar.length > 0 ? `${similar.join(', ')} may be meant. ` : '';
  return new SlipwayError(
    'ERR_FORWARD_NOT_FOUND',
    `there is no forward ${id}`,
    `${meant}GET /v1/forwards lists those there are.`,
  );
}
