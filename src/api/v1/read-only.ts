import type { ForwardJson, ServiceJson, ZoneJson } from './contract.ts';

/*
 * What a list shows can be sent back as it is. So what nobody can set is left out of a body, and what stands for "not
 * set" counts as that. Every other key that is not known is refused.
 */

const FORWARD: readonly (keyof ForwardJson)[] = [
  'id',
  'count',
  'state',
  'why',
  'code',
  'reaches',
  'guestListens',
  'note',
  'boundPort',
  'connections',
  'descriptors',
];
const SERVICE: readonly (keyof ServiceJson)[] = ['id'];
const ZONE: readonly (keyof ZoneJson)[] = ['serial', 'builtIn', 'standing'];
/** Who asked for a forward and is no client of this API: sent back, it is the client's. */
const OTHER_OWNER = /^(?:config|gvproxy|vpnkit|docker|guest .+)$/;

/** The keys of a forward that can be asked for. */
export function askedForward(body: unknown): unknown {
  return without(body, FORWARD, ({ host, protocol, owner }) => [
    ...(typeof host === 'string' && host.startsWith('/') && protocol === 'unix' ? ['protocol'] : []),
    ...(typeof owner === 'string' && OTHER_OWNER.test(owner) ? ['owner'] : []),
  ]);
}

/** The same of a service. */
export function askedService(body: unknown): unknown {
  return without(body, SERVICE, ({ port, name }) => [
    ...(port === 0 ? ['port'] : []),
    ...(name === '' ? ['name'] : []),
  ]);
}

/** The same of a zone. */
export function askedZone(body: unknown): unknown {
  return without(body, ZONE, () => []);
}

type Keys = Readonly<Record<string, unknown>>;

function without(body: unknown, readOnly: readonly string[], unset: (body: Keys) => readonly string[]): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body;
  const gone = new Set([...readOnly, ...unset(body as Keys)]);
  return Object.fromEntries(Object.entries(body).filter(([key]) => !gone.has(key)));
}
