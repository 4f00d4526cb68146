import { z } from 'zod';
import { forwardOptions, forwardShape, present } from '../../config/forwards.ts';
import { type PublishedPort, parsePortSpec } from '../../config/port-spec.ts';
import { schemaParts, value } from '../../config/schema-parts.ts';
import { FORWARD_DEFAULTS, type ForwardSpec } from '../../config/forward.ts';
import { ipv4Address, Mismatch, oneOf, socketPath, type ValueParser, yesOrNo } from '../../config/values.ts';
import type { Forwards } from '../../services/forward/forwards.ts';
import type { ForwardJson } from './contract.ts';
import { forwardJson } from './forward-json.ts';
import { askedForward } from './read-only.ts';

const byKeysAlone = forwardShape(schemaParts);

/** Who may be said to have asked, by a client of this API. */
const owner = value(oneOf('api', 'cli')).optional();

const published: ValueParser<readonly PublishedPort[]> = (raw) =>
  typeof raw === 'string'
    ? parsePortSpec(raw)
    : new Mismatch('a port to publish as docker run -p takes it, such as 8080:80');

const byText = forwardOptions(schemaParts).extend({
  publish: value(published),
  guestAddress: value(ipv4Address).optional(),
  /** In the place of the host's port. */
  unixSocket: value(socketPath).optional(),
  persistent: value(yesOrNo).optional(),
  owner,
});

const byKeys = z.looseObject({ persistent: value(yesOrNo).optional(), owner });

/**
 * `{publish: "8080:80", …}`, or the keys of `forwards` in the configuration. More than one where the host chooses
 * several ports.
 */
export const newForwards: z.ZodType<readonly ForwardSpec[]> = z
  .unknown()
  .transform((raw, context): readonly ForwardSpec[] => {
    const isText = typeof raw === 'object' && raw !== null && 'publish' in raw;
    const result = isText ? fromText(raw) : fromKeys(askedForward(raw));
    if (!('issues' in result)) return result.specs;
    for (const issue of result.issues) context.issues.push({ ...issue, input: raw } as z.core.$ZodRawIssue);
    return z.NEVER;
  })
  .meta({ oneOf: [inputJson(byText), inputJson(byKeysAlone.schema, byKeys)] });

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
  const message = 'only the port of the guest, such as "80", when unixSocket is given';
  return { issues: [{ code: 'custom', path: ['publish'], message }] };
}

function fromKeys(raw: unknown): Read {
  const own = byKeys.safeParse(raw);
  if (!own.success) return own.error;
  const { persistent = false, owner: asker = 'api', ...keys } = own.data;
  const result = byKeysAlone.schema.safeParse(keys);
  return result.success ? { specs: result.data.map((spec) => ({ ...spec, persistent, owner: asker })) } : result.error;
}

function inputJson(...schemas: readonly z.ZodType[]): Readonly<Record<string, unknown>> {
  const parts = schemas.map((schema) => z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }));
  return {
    type: 'object',
    properties: Object.assign({}, ...parts.map(({ properties }) => properties)) as object,
    required: parts.flatMap(({ required }) => required ?? []),
  };
}

/**
 * Adds all of `specs`, or none. What cannot be whole is not begun: those that were added before the one that failed go
 * again.
 */
export async function addAll(forwards: Forwards, specs: readonly ForwardSpec[]): Promise<ForwardJson[]> {
  // One alone leaves nothing behind when it fails.
  const before = specs.length > 1 ? new Set(forwards.list().map(({ id }) => id)) : undefined;
  const added: ForwardJson[] = [];
  try {
    for (const spec of specs) added.push(forwardJson(await forwards.open(spec)));
  } catch (error) {
    for (const { id } of added) if (before?.has(id) === false) await forwards.close(id);
    throw error;
  }
  return added;
}
