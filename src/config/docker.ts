import type { ZodType } from 'zod';
import { type AddressPlan, isHostOf } from './network.ts';
import { SlipwayError } from '../facts/errors.ts';
import { isUnixPath, UNIX_PATH_BYTES } from '../facts/unix-path.ts';
import { formatCidr } from '../wire/cidr.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import type { SchemaParts } from './schema-parts.ts';
import { ipv4Address, Mismatch, oneOf, socketPath, type ValueParser } from './values.ts';

/** Each follows its engine, and holds a socket: people have a few. */
export const MAX_DOCKER_ENGINES = 64;

/**
 * Where a port is bound that is published without an address: `all` of this computer's, or `local`, 127.0.0.1.
 * `local-only` also turns 0.0.0.0 and [::] into the loopback address.
 */
export const DOCKER_BINDS = ['all', 'local', 'local-only'] as const;
export type DockerBind = (typeof DOCKER_BINDS)[number];

/** One of the key `docker` as a person said it. */
export interface DockerInput {
  readonly socket?: string | undefined;
  readonly engine: string;
  readonly guest?: number | undefined;
  readonly bind?: DockerBind | undefined;
}

/** An engine whose API Slipway serves on the host, and whose containers' ports are the host's. */
export interface DockerEngine {
  /** Where its API is served; '' for the usual place (`usualDockerSocket`). */
  readonly socket: string;
  /** The path of the engine's own socket, as this process sees it. */
  readonly engine: string;
  /** Address of the guest whose engine it is; undefined for the only one. */
  readonly guest: number | undefined;
  readonly bind: DockerBind;
}

/** Schemes that Docker's clients know, and Slipway does not have yet. */
const SCHEMES_TO_COME = ['ssh', 'tcp', 'tcp+tls', 'http', 'https', 'vsock', 'npipe', 'fd'];

const engineUrl: ValueParser<string> = (raw) => {
  const expected = `unix:// and an absolute path of at most ${UNIX_PATH_BYTES} bytes such as unix:///run/docker.sock`;
  const [, scheme = '', rest = ''] = /^([a-z+]+):\/\/(.*)$/.exec(typeof raw === 'string' ? raw : '') ?? [];
  if (scheme === 'unix' && isUnixPath(rest)) return rest;
  return new Mismatch(SCHEMES_TO_COME.includes(scheme) ? `${expected} (there is no ${scheme}:// yet)` : expected);
};

export function dockerSchema({ z, value }: SchemaParts): ZodType<readonly DockerInput[]> {
  return z
    .array(
      z.strictObject({
        socket: value(socketPath).optional(),
        engine: value(engineUrl),
        guest: value(ipv4Address).optional(),
        bind: value(oneOf(...DOCKER_BINDS)).optional(),
      }),
    )
    .max(MAX_DOCKER_ENGINES, `at most ${MAX_DOCKER_ENGINES} engines`);
}

/** Throws SlipwayError ERR_ADDRESSES or ERR_CONFIG_INVALID. */
export function resolveDocker(engines: readonly DockerInput[], { subnet }: AddressPlan): readonly DockerEngine[] {
  const sockets = new Set<string>();
  return engines.map(({ socket = '', engine, guest, bind = 'all' }, index) => {
    const key = `docker.${index}`;
    if (sockets.has(socket)) {
      throw new SlipwayError(
        'ERR_CONFIG_INVALID',
        `${key}.socket: ${socket === '' ? 'the usual socket' : socket} is another engine's already`,
        'Give each engine a socket of its own.',
      );
    }
    sockets.add(socket);
    if (socket === engine) {
      throw new SlipwayError(
        'ERR_CONFIG_INVALID',
        `${key}.socket: ${socket} is the engine's own socket`,
        'Choose another path; clients are then pointed to it (export DOCKER_HOST=unix://PATH).',
      );
    }
    if (guest !== undefined && !isHostOf(subnet, guest)) {
      throw new SlipwayError(
        'ERR_ADDRESSES',
        `${key}.guest: ${formatIpv4Address(guest)} is outside of the subnet ${formatCidr(subnet)}`,
        'Give the address of the guest that the engine runs in, or leave it out for the only one.',
      );
    }
    return { socket, engine, guest, bind };
  });
}
