import type { ZodObject, ZodOptional, ZodType } from 'zod';
import { SlipwayError } from '../facts/errors.ts';
import {
  FORWARD_DEFAULTS,
  FORWARD_SOURCES,
  type ForwardSource,
  type ForwardSpec,
  forwardId,
  MAX_FORWARDS,
  MAX_WAIT_SECONDS,
  PROXY_HEADERS,
  type ProxyHeader,
  SSH_PORT,
} from './forward.ts';
import { forwardFault } from './forward-rules.ts';
import type { AddressPlan } from './network.ts';
import {
  type GuestPorts,
  guestPlace,
  type HostPlace,
  hostPlace,
  type PublishedPort,
  parsePortSpec,
  publishedPorts,
} from './port-spec.ts';
import type { SchemaParts, ShapeChoice } from './schema-parts.ts';
import { integer, ipv4Address, Mismatch, oneOf, socketPath, type ValueParser, yesOrNo } from './values.ts';

/** PATH_MAX of Linux, without the terminator. */
const PATH_BYTES = 4_095;
/** A user or a passphrase. */
const MAX_TEXT_CHARACTERS = 1_024;

/** A user of the guest, for its sshd. */
export const sshUser: ValueParser<string> = shortText('a user of the guest');

function shortText(expected: string): ValueParser<string> {
  return (raw) =>
    typeof raw === 'string' && raw.length > 0 && raw.length <= MAX_TEXT_CHARACTERS ? raw : new Mismatch(expected);
}

/** The private key for a guest's sshd, a file of this computer. */
export const keyFile: ValueParser<string> = (raw) =>
  typeof raw === 'string' &&
  raw.startsWith('/') &&
  !raw.includes('\0') &&
  new TextEncoder().encode(raw).length <= PATH_BYTES
    ? raw
    : new Mismatch('the absolute path of a file');

export const forwardSource: ValueParser<ForwardSource> = oneOf(...FORWARD_SOURCES);
export const forwardProxy: ValueParser<ProxyHeader> = oneOf(...PROXY_HEADERS);
export const waitSeconds: ValueParser<number> = integer(0, MAX_WAIT_SECONDS);

type ForwardOptions = {
  readonly source: ZodOptional<ZodType<ForwardSource>>;
  readonly proxy: ZodOptional<ZodType<ProxyHeader>>;
  readonly waitSeconds: ZodOptional<ZodType<number>>;
  readonly ipv4Only: ZodOptional<ZodType<boolean>>;
};

/** What a forward may say beside its two ends. */
export function forwardOptions({ value, z }: SchemaParts): ZodObject<ForwardOptions> {
  return z.strictObject({
    source: value(forwardSource).optional(),
    proxy: value(forwardProxy).optional(),
    waitSeconds: value(waitSeconds).optional(),
    ipv4Only: value(yesOrNo).optional(),
  });
}

/** One of `forwards`, by keys. */
export function forwardShape(parts: SchemaParts): ShapeChoice<readonly ForwardSpec[]> {
  const { value, z } = parts;
  const sshEnd = z.strictObject({
    user: value(sshUser),
    path: value(socketPath),
    keyFile: value(keyFile),
    address: value(ipv4Address).optional(),
    port: value(integer(1, 65_535)).optional(),
    passphrase: value(shortText('a text')).optional(),
  });
  const keys = z.strictObject({
    host: value(hostPlace),
    guest: value(guestPlace).optional(),
    ssh: sshEnd.optional(),
    protocol: value(oneOf('tcp', 'udp')).optional(),
    ...forwardOptions(parts).shape,
  });
  return {
    keys: Object.keys(keys.shape),
    schema: keys.transform((said, context): readonly ForwardSpec[] => {
      const { host, guest, ssh, protocol, ...options } = said;
      const ends = endsOf({ host, guest, ssh, protocol });
      if (!(ends instanceof Mismatch)) return ends.map((one) => configured({ ...one, ...present(options) }));
      context.issues.push({ code: 'custom', message: ends.expected, input: said });
      return z.NEVER;
    }),
  };
}

interface SaidEnds {
  readonly host: HostPlace;
  readonly guest: GuestPorts | undefined;
  readonly ssh:
    | undefined
    | {
        readonly user: string;
        readonly path: string;
        readonly keyFile: string;
        readonly address?: number | undefined;
        readonly port?: number | undefined;
        readonly passphrase?: string | undefined;
      };
  readonly protocol: 'tcp' | 'udp' | undefined;
}

/** Both ends, or what was expected instead. */
function endsOf({ host, guest, ssh, protocol }: SaidEnds): readonly PublishedPort[] | Mismatch {
  if ((guest === undefined) === (ssh === undefined)) return new Mismatch('either guest or ssh');
  if (host.kind === 'ports') {
    if (guest === undefined) return new Mismatch('the path of a socket as host when ssh is given');
    return publishedPorts(protocol ?? 'tcp', host.address, host.ports, guest.address, guest.ports);
  }
  if (protocol !== undefined) return new Mismatch('no protocol when host is the path of a socket');
  if (guest !== undefined && guest.ports.first !== guest.ports.last)
    return new Mismatch('one port of the guest for a socket');
  const ends = { protocol: 'unix', host: { kind: 'unix', path: host.path }, count: 1 } as const;
  if (guest !== undefined)
    return [{ ...ends, guest: { kind: 'port', address: guest.address, port: guest.ports.first } }];
  const { user, path, keyFile, address, port = SSH_PORT, passphrase } = ssh!;
  const end = { kind: 'ssh', address, port, user, path, keyFile } as const;
  return [{ ...ends, guest: passphrase === undefined ? end : { ...end, passphrase } }];
}

function configured(said: PublishedPort & Partial<ForwardSpec>): ForwardSpec {
  return { ...FORWARD_DEFAULTS, ...said, owner: 'config' };
}

/** Without the keys that nobody set. */
export function present<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, one]) => one !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

const publishedText: ValueParser<readonly ForwardSpec[]> = (raw) => {
  const ends = parsePortSpec(String(raw));
  return ends instanceof Mismatch ? ends : ends.map(configured);
};

/** The key `forwards`: texts as `docker run -p` takes them, or keys. */
export function forwardsSchema(parts: SchemaParts): ZodType<readonly ForwardSpec[]> {
  return parts.z
    .array(parts.textOr(publishedText, forwardShape(parts)))
    .max(MAX_FORWARDS, `at most ${MAX_FORWARDS} forwards`)
    .transform((lists) => lists.flat());
}

/**
 * Checks what concerns both ends and the network, and that each host end is there once. Throws SlipwayError
 * ERR_ADDRESSES or ERR_CONFIG_INVALID.
 */
export function resolveForwards(forwards: readonly ForwardSpec[], plan: AddressPlan): readonly ForwardSpec[] {
  const seen = new Set<string>();
  for (const spec of forwards) {
    const id = forwardId(spec);
    const fault = forwardFault(spec, plan);
    if (fault !== undefined) {
      const code = fault.about === 'address' ? 'ERR_ADDRESSES' : 'ERR_CONFIG_INVALID';
      throw new SlipwayError(code, `forwards: ${id}: ${fault.why}`, fault.hint);
    }
    const chosen = spec.host.kind === 'port' && spec.host.port === 0;
    if (seen.has(id) && !chosen) {
      throw new SlipwayError(
        'ERR_CONFIG_INVALID',
        `forwards: ${id} is listed twice`,
        'Each host port can be forwarded once.',
      );
    }
    seen.add(id);
  }
  return [...forwards];
}
