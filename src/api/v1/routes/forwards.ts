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
import { forwardOptions, forwardShape } from '../../../config/forward-schema.ts';
import { socketPath } from '../../../config/forward-values.ts';
import { FORWARD_DEFAULTS, type PublishedPort, parsePortSpec } from '../../../config/port-spec.ts';
import { value } from '../../../config/schema-value.ts';
import { similarForwards } from '../../../services/forward/similar-forwards.ts';
import { ipv4Address, Mismatch, oneOf, type ValueParser, yesOrNo } from '../../../config/values.ts';
import type { Forwards } from '../../../services/forward/forwards.ts';
import type { ForwardJson } from '../contract.ts';
import type { ControlParts } from '../control-parts.ts';
import type { ControlScope } from '../../server/control-server.ts';
import { forwardJson } from '../forward-json.ts';
import { askedForward } from '../read-only.ts';

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
    guest: z.string().optional().meta({ description: '"80", "192.168.65.3:80", "9000-9100"; absent where ssh is' }),
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
    note: z.string().meta({ description: 'What is not as usual with clients that are served; empty for nothing' }),
    boundPort: z.int().meta({ description: 'The first port that is bound; what the host chose for 0' }),
    connections: z.int(),
    descriptors: z.int(),
  })
  .meta({ id: 'Forward' });

/** Who may be said to have asked, by a client of this API. */
const owner = value(oneOf('api', 'cli')).optional();

const published: ValueParser<readonly PublishedPort[]> = (raw) =>
  typeof raw === 'string'
    ? parsePortSpec(raw)
    : new Mismatch('a port to publish as docker run -p takes it, such as 8080:80');

const byText = forwardOptions.extend({
  publish: value(published),
  guestAddress: value(ipv4Address).optional(),
  /** In the place of the host's port. */
  unixSocket: value(socketPath).optional(),
  persistent: value(yesOrNo).optional(),
  owner,
});

const byKeys = z.looseObject({ persistent: value(yesOrNo).optional(), owner });

/** `{publish: "8080:80", …}`, or the keys of `forwards` in the configuration. More than one where the host chooses several ports. */
const newForwards: z.ZodType<readonly ForwardSpec[]> = z
  .unknown()
  .transform((raw, context): readonly ForwardSpec[] => {
    const isText = typeof raw === 'object' && raw !== null && 'publish' in raw;
    const result = isText ? fromText(raw) : fromKeys(askedForward(raw));
    if (!('issues' in result)) return result.specs;
    for (const issue of result.issues) context.issues.push({ ...issue, input: raw } as z.core.$ZodRawIssue);
    return z.NEVER;
  })
  .meta({ oneOf: [inputJson(byText), inputJson(forwardShape.schema, byKeys)] });

type Read = { readonly specs: readonly ForwardSpec[] } | { readonly issues: readonly z.core.$ZodIssue[] };

function fromText(raw: unknown): Read {
  const result = byText.safeParse(raw);
  if (!result.success) return result.error;
  const { publish, guestAddress, unixSocket, owner: asker = 'api', ...options } = result.data;
  const specs = publish.map((ports): ForwardSpec => {
    const given = { ...FORWARD_DEFAULTS, ...ports, ...present(options), owner: asker };
    const { guest } = given;
    const addressed = guestAddress === undefined ? given : { ...given, guest: { ...guest, address: guestAddress } };
    return unixSocket === undefined
      ? addressed
      : { ...addressed, protocol: 'unix', host: { kind: 'unix', path: unixSocket } };
  });
  const [first] = publish;
  const onlyGuest =
    first?.host.kind === 'port' && first.host.port === 0 && first.host.address === '' && publish.length === 1;
  if (unixSocket === undefined || (onlyGuest && first.protocol === 'tcp')) return { specs };
  const message = 'the port of the guest alone, such as "80", where unixSocket says where clients come in';
  return { issues: [{ code: 'custom', path: ['publish'], message }] };
}

function fromKeys(raw: unknown): Read {
  const own = byKeys.safeParse(raw);
  if (!own.success) return own.error;
  const { persistent = false, owner: asker = 'api', ...keys } = own.data;
  const result = forwardShape.schema.safeParse(keys);
  return result.success ? { specs: result.data.map((spec) => ({ ...spec, persistent, owner: asker })) } : result.error;
}

function present<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, one]) => one !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

function inputJson(...schemas: readonly z.ZodType[]): Readonly<Record<string, unknown>> {
  const parts = schemas.map((schema) => z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }));
  return {
    type: 'object',
    properties: Object.assign({}, ...parts.map(({ properties }) => properties)) as object,
    required: parts.flatMap(({ required }) => required ?? []),
  };
}

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
        summary: 'Closes a forward; its connections live on unless told',
        tags: ['forwards'],
        params: ID,
        querystring: z.strictObject({ connections: z.enum(['keep', 'reset']).default('keep') }),
        response: { 204: z.undefined() },
      },
    },
    async ({ params, query }, reply) => {
      const removed = await forwards.remove(params.id, { connections: query.connections === 'reset' });
      if (!removed) throw noForward(params.id, forwards);
      return reply.code(204).send();
    },
  );
}

/** What cannot be whole is not begun: those that were added before the one that failed go again. */
async function addAll(forwards: Forwards, specs: readonly ForwardSpec[]): Promise<ForwardJson[]> {
  // One alone leaves nothing behind when it fails.
  const before = specs.length > 1 ? new Set(forwards.list().map(({ id }) => id)) : undefined;
  const added: ForwardJson[] = [];
  try {
    for (const spec of specs) added.push(forwardJson(await forwards.add(spec)));
  } catch (error) {
    for (const { id } of added) if (before?.has(id) === false) await forwards.remove(id);
    throw error;
  }
  return added;
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
