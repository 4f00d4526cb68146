import type { ForwardJson, ServiceJson } from '../api/v1/contract.ts';
import { SlipwayError } from '../facts/errors.ts';
import { forwardSource, forwardProxy, waitSeconds } from '../config/forwards.ts';
import { parsePortSpec } from '../config/port-spec.ts';
import { similarForwards } from '../services/forward/similar-forwards.ts';
import { ipv4Address, Mismatch, shown, socketPath, type ValueParser } from '../config/values.ts';
import { type ControlClient, type ControlFlags, controlClient } from './control-client.ts';
import { forwardTable, hostShown } from './forwards-shown.ts';
import { absolute, fromText, parsedFlag } from './options.ts';
import { STANDARD_OUTPUT, say } from './say.ts';
import { table } from './table.ts';

const HELP = { command: 'slipway ports' } as const;

export interface PortsFlags extends ControlFlags {
  readonly json?: boolean;
}

export interface ExposeFlags extends PortsFlags {
  readonly guest?: string;
  readonly source?: string;
  readonly proxy?: string;
  readonly wait?: string;
  readonly persistent?: boolean;
  readonly unix?: string;
  readonly ipv4Only?: boolean;
}

export interface UnexposeFlags extends PortsFlags {
  readonly reset?: boolean;
}

/** `slipway ports ls`. */
export async function portsLs(flags: PortsFlags): Promise<void> {
  const client = controlClient(flags);
  const forwards = await client.ask<ForwardJson[]>('GET', '/v1/forwards');
  const services = await client.ask<ServiceJson[]>('GET', '/v1/services');
  if (flags.json === true) return sayJson({ forwards, services });
  const nothing = forwards.length + services.length === 0 ? 'no port is published\n' : '';
  const between = forwards.length > 0 && services.length > 0 ? '\n' : '';
  say(STANDARD_OUTPUT, `${nothing}${forwardTable(forwards)}${between}${serviceTable(services)}`);
}

/** `slipway ports expose`: all that are named, or none. */
export async function portsExpose(ports: readonly string[], flags: ExposeFlags): Promise<void> {
  const { guest, source, proxy, wait, persistent, unix, ipv4Only } = flags;
  for (const text of ports) checkPorts(text);
  checkFlag('--guest', guest, ipv4Address);
  checkFlag('--source', source, forwardSource);
  checkFlag('--proxy', proxy, forwardProxy);
  checkFlag('--wait', wait, fromText(waitSeconds));
  if (unix !== undefined && ports.length > 1) throw usage('--unix', 'one port of the guest', ports.join(' '));
  const options = {
    ...(guest !== undefined && { guestAddress: guest }),
    ...(source !== undefined && { source }),
    ...(proxy !== undefined && { proxy }),
    ...(wait !== undefined && { waitSeconds: Number(wait) }),
    ...(persistent === true && { persistent: true }),
    ...(unix !== undefined && { unixSocket: parsedFlag('--unix', absolute(unix), socketPath, HELP) }),
    ...(ipv4Only === true && { ipv4Only: true }),
    owner: 'cli',
  };
  const client = controlClient(flags);
  const before = new Set((await client.ask<ForwardJson[]>('GET', '/v1/forwards')).map(({ id }) => id));
  const added: ForwardJson[] = [];
  try {
    for (const publish of ports) {
      added.push(...(await client.ask<ForwardJson[]>('POST', '/v1/forwards', { publish, ...options })));
    }
  } catch (error) {
    for (const { id } of added) if (!before.has(id)) await remove(client, id, false);
    throw error;
  }
  if (flags.json === true) sayJson(added);
  else say(STANDARD_OUTPUT, forwardTable(added));
}

/** `slipway ports unexpose`: by id, or by protocol and host end as `ports ls` shows them. */
export async function portsUnexpose(names: readonly string[], flags: UnexposeFlags): Promise<void> {
  const client = controlClient(flags);
  const forwards = await client.ask<ForwardJson[]>('GET', '/v1/forwards');
  // All are understood before the first goes.
  const ids = names.map((name) => forwardNamed(name, forwards).id);
  for (const id of ids) await remove(client, id, flags.reset === true);
  if (flags.json === true) sayJson({ removed: ids });
  else say(STANDARD_OUTPUT, ids.map((id) => `${id} is no longer published\n`).join(''));
}

function remove(client: ControlClient, id: string, reset: boolean): Promise<undefined> {
  return client.ask('DELETE', `/v1/forwards/${encodeURIComponent(id)}${reset ? '?connections=reset' : ''}`);
}

function forwardNamed(name: string, forwards: readonly ForwardJson[]): ForwardJson {
  const [, place = '', protocol] = /^(.+?)(?:\/(tcp|udp))?$/.exec(name) ?? [];
  const isPort = /^\d+(?:-\d+)?$/.test(place);
  const wanted = protocol ?? (place.startsWith('/') ? 'unix' : 'tcp');
  const ofProtocol = forwards.filter((one) => one.protocol === wanted);
  const exact = forwards.filter(
    (one) =>
      one.id === name ||
      (one.protocol === wanted && (one.host === (isPort ? `*:${place}` : place) || place === hostShown(one))),
  );
  // A port alone means the one that has it, at whichever address.
  const found = exact.length > 0 || !isPort ? exact : ofProtocol.filter(({ host }) => host.endsWith(`:${place}`));
  const [forward] = found;
  if (forward !== undefined && found.length === 1) return forward;
  const ids = forwards.map(({ id }) => id);
  const similar = similarForwards(name, ids).flatMap((id) => forwards.find((one) => one.id === id) ?? []);
  const meant = similar.map((one) => `${hostShown(one)}${one.protocol === 'udp' ? '/udp' : ''}`).join(', ');
  throw new SlipwayError(
    'ERR_FORWARD_NOT_FOUND',
    found.length > 1 ? `${name} is published at ${found.length} addresses` : `nothing is published at ${name}`,
    `${meant === '' ? '' : `Do you mean ${meant}? `}slipway ports ls shows what is; say its protocol, host and port, such as 8080, 127.0.0.1:53/udp or a path.`,
  );
}

function serviceTable(services: readonly ServiceJson[]): string {
  return table(
    ['GUESTS REACH', 'NAME', 'HOST'],
    services.map(({ protocol, address, port, name, target }) => [
      `${protocol} ${address}:${port === 0 ? '*' : port}`,
      name,
      target,
    ]),
  );
}

/** The same grammar as the daemon's, so a slip is told without one. */
function checkPorts(text: string): void {
  const ports = parsePortSpec(text);
  if (ports instanceof Mismatch) throw usage('PORTS', ports.expected, text);
}

/** The same for flags; the daemon would name the field of its API. */
function checkFlag<T>(name: string, text: string | undefined, parse: ValueParser<T>): void {
  if (text !== undefined) parsedFlag(name, text, parse, HELP);
}

function usage(what: string, expected: string, found: string): SlipwayError {
  return new SlipwayError(
    'ERR_USAGE',
    `${what}: expected ${expected}, found ${shown(found)}`,
    'slipway ports --help shows examples.',
  );
}

function sayJson(value: unknown): void {
  say(STANDARD_OUTPUT, `${JSON.stringify(value)}\n`);
}
