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
import { parseIpv4Address } from '../../wire/ipv4-address.ts';
import { readCompatBody, textField } from '../server/compat-body.ts';
import { type GoAnswer, goError } from './go-answer.ts';
import { joinHostPort, parseUint16, parseUrl, splitHostPort } from './go-net.ts';

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

/** The request; or 400 with what is wrong. */
export function readExposeRequest(body: Uint8Array): ExposeRequest | GoAnswer {
  const read = readCompatBody(body, exposeRequest);
  return 'error' in read ? goError(400, read.error) : read.value;
}

/**
 * The remote with the caller's own address where it has none; 400 for what is no address and port. `caller` is Go's RemoteAddr, "@" for
 * a client of a unix socket.
 */
export function remoteOf({ remote, protocol }: ExposeRequest, caller: string): string | GoAnswer {
  if (protocol === 'unix' || protocol === 'npipe') return remote;
  const split = splitHostPort(remote);
  if (typeof split === 'string') return goError(400, split);
  if (split.host !== '') return remote;
  const from = splitHostPort(caller);
  return typeof from === 'string' ? goError(400, from) : joinHostPort(from.host, split.port);
}

/** The forward that is asked for; 500 with gvproxy's words for what is none. */
export function forwardOf(
  { local, protocol }: ExposeRequest,
  remote: string,
  owner: ForwardOwner,
): ForwardSpec | GoAnswer {
  if (protocol === 'npipe') return goError(500, 'named pipes are not supported by this platform');
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'unix') {
    return goError(500, `unknown protocol ${protocol}`);
  }
  const guest = protocol === 'unix' ? guestOfUrl(remote) : guestOfAddress(remote);
  if (typeof guest === 'string') return goError(500, guest);
  const host = protocol === 'unix' ? hostOfPath(local) : hostOfAddress(protocol, local);
  if (typeof host === 'string') return goError(500, host);
  return { ...FORWARD_DEFAULTS, protocol, host, guest, count: 1, owner };
}

/** "192.168.127.2:80". Exactly one colon: gvproxy knows no IPv6. */
function guestOfAddress(remote: string): GuestEnd | string {
  const [host = '', portText = '', ...more] = remote.split(':');
  if (more.length > 0 || !remote.includes(':')) return 'invalid remote addr';
  const port = parseUint16(portText);
  if (typeof port === 'string') return port;
  const address = parseIpv4Address(host);
  return address === undefined ? 'invalid remote addr' : { kind: 'port', address, port };
}

/** "tcp://IP:PORT" or "ssh-tunnel://USER@IP[:PORT]/PATH?key=FILE[&passphrase=…]" */
function guestOfUrl(remote: string): GuestEnd | string {
  const url = parseUrl(remote);
  if (typeof url === 'string') return `failed to parse remote uri :${remote} : ${url}`;
  if (url.scheme === 'tcp') return guestOfAddress(`${url.host}:${url.port}`);
  if (url.scheme !== 'ssh-tunnel') return `remote protocol for unix forwarder is not implemented: ${url.scheme}`;
  const key = url.query.get('key') ?? '';
  if (key === '') return 'key not provided for unix-ssh connection';
  if (url.path === '' || url.path === '/') return 'remote uri must contain a path to a socket file';
  const end = guestOfAddress(`${url.host}:${url.port === '' ? SSH_PORT : url.port}`);
  if (typeof end === 'string') return end;
  const passphrase = url.query.get('passphrase') ?? '';
  return {
    kind: 'ssh',
    address: end.address,
    port: end.port,
    user: url.user,
    path: url.path,
    keyFile: path.resolve(key),
    ...(passphrase !== '' && { passphrase }),
  };
}

function hostOfPath(local: string): HostEnd | string {
  if (local === '') return 'listen unix: missing address';
  return { kind: 'unix', path: path.resolve(local) };
}

/** Go's listen address: ":6443", "127.0.0.1:80", "[::1]:80", "localhost:80". */
function hostOfAddress(protocol: 'tcp' | 'udp', local: string): HostEnd | string {
  const split = splitHostPort(local);
  const refuse = (why: string): string => `listen ${protocol}: ${why}`;
  if (typeof split === 'string') return refuse(split);
  const { host, port } = split;
  if (/^\d+$/.test(port) && Number(port) > 0xffff) return refuse(`address ${port}: invalid port`);
  if (!/^\d*$/.test(port)) return refuse(`lookup ${protocol}/${port}: unknown port`);
  // Go asks the resolver; of names, only this one means what everyone means.
  const address = host === 'localhost' ? '127.0.0.1' : listenAddress(host);
  if (address === undefined || host === '*') return refuse(`lookup ${host}: no such host`);
  return { kind: 'port', address, port: Number(port) };
}
