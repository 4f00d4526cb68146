import { z } from 'zod';
import {
  FORWARD_SOURCES,
  type ForwardSource,
  type ForwardSpec,
  MAX_FORWARDS,
  MAX_WAIT_SECONDS,
  PROXY_HEADERS,
  type ProxyHeader,
  SSH_PORT,
} from './forward.ts';
import type { ServiceInput } from './forward-config.ts';
import { filePath, guestPlace, hostPlace, serviceTarget, socketPath } from './forward-values.ts';
import { FORWARD_DEFAULTS, type PublishedPort, parsePortSpec, publishedPorts } from './port-spec.ts';
import { type ShapeChoice, textOr, value } from './schema-value.ts';
import { hostName, integer, ipv4Address, Mismatch, oneOf, type ValueParser, yesOrNo } from './values.ts';

const MAX_SERVICES = 4_096;

const someText: ValueParser<string> = (raw) =>
  typeof raw === 'string' && raw.length > 0 && raw.length <= 1_024 ? raw : new Mismatch('a text');

const sshEnd = z.strictObject({
  user: value(someText),
  path: value(socketPath),
  keyFile: value(filePath),
  address: value(ipv4Address).optional(),
  port: value(integer(1, 65_535)).optional(),
  passphrase: value(someText).optional(),
});

type ForwardOptions = {
  readonly source: z.ZodOptional<z.ZodType<ForwardSource>>;
  readonly proxy: z.ZodOptional<z.ZodType<ProxyHeader>>;
  readonly waitSeconds: z.ZodOptional<z.ZodType<number>>;
  readonly ipv4Only: z.ZodOptional<z.ZodType<boolean>>;
};

const OPTIONS: ForwardOptions = {
  source: value(oneOf(...FORWARD_SOURCES)).optional(),
  proxy: value(oneOf(...PROXY_HEADERS)).optional(),
  waitSeconds: value(integer(0, MAX_WAIT_SECONDS)).optional(),
  ipv4Only: value(yesOrNo).optional(),
};

/** What a forward may say beside its two ends. */
export const forwardOptions: z.ZodObject<ForwardOptions> = z.strictObject(OPTIONS);

const FORWARD = {
  host: value(hostPlace),
  guest: value(guestPlace).optional(),
  ssh: sshEnd.optional(),
  protocol: value(oneOf('tcp', 'udp')).optional(),
  ...OPTIONS,
};

type ForwardKeys = z.output<z.ZodObject<typeof FORWARD>>;

/** Both ends, or what was expected instead. */
function endsOf({ host, guest, ssh, protocol }: ForwardKeys): readonly PublishedPort[] | Mismatch {
  if ((guest === undefined) === (ssh === undefined)) return new Mismatch('guest or ssh, one of the two');
  if (host.kind === 'ports') {
    if (guest === undefined) return new Mismatch('the path of a socket as host where ssh is');
    return publishedPorts(protocol ?? 'tcp', host.address, host.ports, guest.address, guest.ports);
  }
  if (protocol !== undefined) return new Mismatch('no protocol where host is the path of a socket');
  if (guest !== undefined && guest.ports.first !== guest.ports.last)
    return new Mismatch('one port of the guest for a socket');
  const ends = { protocol: 'unix', host: { kind: 'unix', path: host.path }, count: 1 } as const;
  if (guest !== undefined)
    return [{ ...ends, guest: { kind: 'port', address: guest.address, port: guest.ports.first } }];
  const { user, path, keyFile, address, port, passphrase } = ssh!;
  const end = { kind: 'ssh', address, port: port ?? SSH_PORT, user, path, keyFile } as const;
  return [{ ...ends, guest: passphrase === undefined ? end : { ...end, passphrase } }];
}

/** One of `forwards`, by keys. */
export const forwardShape: ShapeChoice<readonly ForwardSpec[]> = {
  keys: Object.keys(FORWARD),
  schema: z.strictObject(FORWARD).transform((keys, context): readonly ForwardSpec[] => {
    const ends = endsOf(keys);
    if (ends instanceof Mismatch) {
      context.issues.push({ code: 'custom', message: ends.expected, input: keys });
      return z.NEVER;
    }
    const { source, proxy, waitSeconds, ipv4Only } = keys;
    return ends.map((one) => ({
      ...FORWARD_DEFAULTS,
      ...one,
      ...(source !== undefined && { source }),
      ...(proxy !== undefined && { proxy }),
      ...(waitSeconds !== undefined && { waitSeconds }),
      ...(ipv4Only !== undefined && { ipv4Only }),
      owner: 'config',
    }));
  }),
};

const publishedText: ValueParser<readonly ForwardSpec[]> = (raw) => {
  const ends = parsePortSpec(String(raw));
  return ends instanceof Mismatch ? ends : ends.map((one) => ({ ...FORWARD_DEFAULTS, ...one, owner: 'config' }));
};

/** The key `forwards` of the file: texts as `docker run -p` takes them, or keys. */
export const forwardsSchema: z.ZodType<readonly ForwardSpec[]> = z
  .array(textOr(publishedText, forwardShape))
  .max(MAX_FORWARDS, `at most ${MAX_FORWARDS} forwards`)
  .transform((lists) => lists.flat());

/** One of `services`. */
export const serviceSchema: z.ZodType<ServiceInput> = z
  .strictObject({
    protocol: value(oneOf('tcp', 'udp')).default('tcp'),
    address: value(ipv4Address).optional(),
    port: value(integer(1, 65_535)).optional(),
    name: value(hostName).optional(),
    target: value(serviceTarget),
  })
  .superRefine(({ protocol, address, port, target }, context) => {
    const refuse = (message: string): void => context.addIssue({ code: 'custom', message });
    if (address === undefined && port === undefined) refuse('port, address or both, for guests to find it at');
    else if (target.kind === 'unix' && protocol === 'udp') refuse('tcp where the target is a unix socket');
    else if (target.kind === 'unix' && port === undefined) refuse('a port where the target is a unix socket');
    else if (target.kind === 'port' && target.port > 0 && port === undefined) refuse('a port where the target has one');
  });

/** The key `services` of the file. */
export const servicesSchema: z.ZodType<readonly ServiceInput[]> = z
  .array(serviceSchema)
  .max(MAX_SERVICES, `at most ${MAX_SERVICES} services`);
