import path from 'node:path';
import { z } from 'zod';
import {
  FORWARD_DEFAULTS,
  type ForwardOwner,
  type ForwardSpec,
  type GuestEnd,
  type HostEnd,
  SSH_PORT,
} from '../../config/forward.ts';
import { listenAddress } from '../../config/port-spec.ts';
import { shown } from '../../config/values.ts';
import { parseIpv4Address } from '../../wire/ipv4-address.ts';
import { readCompatBody, textField } from '../server/compat-body.ts';
import { Refusal } from './answer.ts';
import { joinHostPort, portNumber, splitHostPort } from './host-port.ts';

/** The body of expose and unexpose, as given. */
export interface ExposeRequest {
  readonly local: string;
  readonly remote: string;
  readonly protocol: string;
}

const exposeRequest: z.ZodType<ExposeRequest> = z.object({
  local: textField,
  remote: textField,
  protocol: textField.transform((said) => said || 'tcp'),
});

/** Throws Refusal 400. */
export function readExposeRequest(body: Uint8Array): ExposeRequest {
  const read = readCompatBody(body, exposeRequest);
  if ('error' in read) throw new Refusal(400, read.error);
  return read.value;
}

/**
 * The remote with the caller's own address where it has none. `caller` is its address and port, '' for a client of a
 * unix socket. Throws Refusal 400 if it is not an address and port.
 */
export function remoteOf({ remote, protocol }: ExposeRequest, caller: string): string {
  if (protocol === 'unix' || protocol === 'npipe') return remote;
  const split = splitHostPort(remote);
  const host = split?.host || splitHostPort(caller)?.host;
  if (split === undefined || host === undefined) throw new Refusal(400, noRemote(remote));
  return joinHostPort(host, split.port);
}

/** The forward that the request asks for. Throws Refusal 500 if it is invalid. */
export function forwardOf({ local, protocol }: ExposeRequest, remote: string, owner: ForwardOwner): ForwardSpec {
  const rest = { ...FORWARD_DEFAULTS, count: 1, owner };
  switch (protocol) {
    case 'tcp':
    case 'udp':
      return { ...rest, protocol, guest: guestOfAddress(remote), host: hostOfAddress(local) };
    case 'unix':
      return { ...rest, protocol, guest: guestOfUrl(remote), host: hostOfPath(local) };
    case 'npipe':
      throw new Refusal(500, 'named pipes are not supported by this platform');
    default:
      throw new Refusal(500, `unknown protocol ${protocol}`);
  }
}

/** "192.168.127.2:80" */
function guestOfAddress(remote: string): GuestEnd {
  const split = splitHostPort(remote);
  const [address, port] = [parseIpv4Address(split?.host ?? ''), portNumber(split?.port ?? '')];
  if (address === undefined || port === undefined) throw new Refusal(500, noRemote(remote));
  return { kind: 'port', address, port };
}

/** "tcp://IP:PORT" or "ssh-tunnel://USER@IP[:PORT]/PATH?key=FILE[&passphrase=…]" */
function guestOfUrl(remote: string): GuestEnd {
  const url = URL.canParse(remote) ? new URL(remote) : null;
  const socket = url === null ? undefined : decoded(url.pathname);
  const user = url === null ? undefined : decoded(url.username);
  if (url === null || socket === undefined || user === undefined) {
    throw new Refusal(500, `remote: expected a URL such as tcp://192.168.65.3:80, found ${shown(remote)}`);
  }
  if (url.protocol === 'tcp:') return guestOfAddress(url.host);
  if (url.protocol !== 'ssh-tunnel:') {
    throw new Refusal(500, `remote: expected tcp:// or ssh-tunnel:// for a unix socket, found ${shown(remote)}`);
  }
  const key = url.searchParams.get('key') ?? '';
  if (key === '') throw new Refusal(500, 'key not provided for unix-ssh connection');
  if (socket === '' || socket === '/') throw new Refusal(500, 'remote uri must contain a path to a socket file');
  const { address, port } = guestOfAddress(`${url.hostname}:${url.port || SSH_PORT}`);
  const passphrase = url.searchParams.get('passphrase') ?? '';
  const end = { kind: 'ssh', address, port, user, path: socket, keyFile: path.resolve(key) } as const;
  return passphrase === '' ? end : { ...end, passphrase };
}

function hostOfPath(local: string): HostEnd {
  if (local === '') throw new Refusal(500, 'local: expected the path of a unix socket, found nothing');
  return { kind: 'unix', path: path.resolve(local) };
}

/** ":6443", "127.0.0.1:80", "[::1]:80", "localhost:80" */
function hostOfAddress(local: string): HostEnd {
  const split = splitHostPort(local);
  // Of names, only this one means what everyone means.
  const host = split?.host === 'localhost' ? '127.0.0.1' : split?.host;
  const address = host === undefined || host === '*' ? undefined : listenAddress(host);
  // Without a number the host chooses.
  const port = portNumber(split?.port || '0');
  if (address === undefined || port === undefined) {
    throw new Refusal(500, `local: expected an address and a port such as 127.0.0.1:8080, found ${shown(local)}`);
  }
  return { kind: 'port', address, port };
}

function noRemote(remote: string): string {
  return `remote: expected an address and a port such as 192.168.65.3:80, found ${shown(remote)}`;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
