import { isIP } from 'node:net';
import type { ZodType } from 'zod';
import { isUnixPath, UNIX_PATH_BYTES } from '../facts/unix-path.ts';
import type { SchemaParts } from './schema-parts.ts';
import { Mismatch, type ValueParser } from './values.ts';

/** The key `control` as a person said it. */
export interface ControlInput {
  readonly socket?: string | undefined;
  readonly tcp?: ControlEndpoint | undefined;
  readonly tokenFile?: string | undefined;
}

/** Where the control API listens. */
export interface ControlConfig {
  /** The path of a unix socket; '' for none. */
  readonly socket: string;
  /** A loopback address too; undefined for none. */
  readonly tcp: ControlEndpoint | undefined;
  /** Where the token of `tcp` is; '' for the socket's path with `.token` for `.sock`. */
  readonly tokenFile: string;
}

export interface ControlEndpoint {
  readonly address: string;
  /** 0 lets the host choose. */
  readonly port: number;
}

/** "none", which is '', or a path. */
export const controlSocket: ValueParser<string> = (raw) => {
  if (raw === 'none') return '';
  return isUnixPath(raw)
    ? raw
    : new Mismatch(`none, or an absolute path of at most ${UNIX_PATH_BYTES} bytes such as /run/slipway/control.sock`);
};

const controlEndpoint: ValueParser<ControlEndpoint> = (raw) => {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(typeof raw === 'string' ? raw : '');
  const address = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3]);
  const loopback = address === '::1' || (isIP(address) === 4 && address.startsWith('127.'));
  return match !== null && loopback && port <= 65_535
    ? { address, port }
    : new Mismatch('a loopback address and a port, such as 127.0.0.1:8765 or "[::1]:8765"');
};

const tokenFile: ValueParser<string> = (raw) =>
  typeof raw === 'string' && raw.startsWith('/') && !raw.endsWith('/') && !raw.includes('\0')
    ? raw
    : new Mismatch('an absolute path of a file');

export function controlSchema({ z, value }: SchemaParts): ZodType<ControlInput> {
  return z
    .strictObject({ socket: value(controlSocket), tcp: value(controlEndpoint), tokenFile: value(tokenFile) })
    .partial();
}

export function resolveControl({ socket = '', tcp, tokenFile = '' }: ControlInput): ControlConfig {
  return { socket, tcp, tokenFile };
}

/**
 * Where the control socket of `slipway up` is unless told: `$XDG_RUNTIME_DIR/slipway/control.sock`, for root
 * /run/slipway/control.sock, else `slipway-UID/control.sock` in the folder for temporary files.
 */
export function defaultControlSocket(
  environment: Readonly<Record<string, string | undefined>>,
  uid: number,
  temporary: string,
): string {
  const runtime = environment.XDG_RUNTIME_DIR ?? '';
  // A relative path is to be ignored (XDG Base Directory Specification).
  if (runtime.startsWith('/')) return `${runtime.replace(/\/+$/, '')}/slipway/control.sock`;
  return uid === 0 ? '/run/slipway/control.sock' : `${temporary.replace(/\/+$/, '')}/slipway-${uid}/control.sock`;
}
