import {
  FORWARD_PROTOCOLS,
  FORWARD_SOURCES,
  type ForwardSpec,
  type GuestEnd,
  type HostEnd,
  PROXY_HEADERS,
} from '../../config/forward.ts';
import { formatIpv4Address, parseIpv4Address } from '../../wire/ipv4-address.ts';
import { isObject, type JsonObject } from '../subnet-list.ts';

const MAX_TEXT = 4_096;

/** A forward as JSON for people and programs. */
export function forwardObject({ guest, ...rest }: ForwardSpec): JsonObject {
  const address = guest.address === undefined ? null : formatIpv4Address(guest.address);
  return { ...rest, guest: { ...guest, address } };
}

/**
 * The forward that the object stands for; undefined when it is none. What it says is checked when it is added. Never
 * throws.
 */
export function forwardOf(raw: JsonObject): ForwardSpec | undefined {
  const protocol = FORWARD_PROTOCOLS.find((one) => one === raw.protocol);
  const source = FORWARD_SOURCES.find((one) => one === raw.source);
  const proxy = PROXY_HEADERS.find((one) => one === raw.proxy);
  const host = isObject(raw.host) ? hostOf(raw.host) : undefined;
  const guest = isObject(raw.guest) ? guestOf(raw.guest) : undefined;
  const { count, waitSeconds, ipv4Only, owner } = raw;
  if (protocol === undefined || source === undefined || proxy === undefined || host === undefined) return undefined;
  if (guest === undefined || !isNumber(count) || !isNumber(waitSeconds) || typeof ipv4Only !== 'boolean')
    return undefined;
  if (!isOwner(owner)) return undefined;
  return { protocol, host, guest, count, ipv4Only, source, proxy, waitSeconds, persistent: true, owner };
}

function hostOf(raw: JsonObject): HostEnd | undefined {
  if (raw.kind === 'unix') return isText(raw.path) ? { kind: 'unix', path: raw.path } : undefined;
  const { address, port } = raw;
  if (raw.kind !== 'port' || typeof address !== 'string' || address.length > MAX_TEXT || !isNumber(port))
    return undefined;
  return { kind: 'port', address, port };
}

function guestOf(raw: JsonObject): GuestEnd | undefined {
  const address = raw.address === null ? undefined : parseIpv4Address(isText(raw.address) ? raw.address : '');
  if ((address === undefined && raw.address !== null) || !isNumber(raw.port)) return undefined;
  if (raw.kind === 'port') return { kind: 'port', address, port: raw.port };
  const { user, path, keyFile } = raw;
  if (raw.kind !== 'ssh' || !isText(user) || !isText(path) || !isText(keyFile)) return undefined;
  return { kind: 'ssh', address, port: raw.port, user, path, keyFile };
}

function isOwner(raw: unknown): raw is ForwardSpec['owner'] {
  return isText(raw) && /^(config|cli|api|gvproxy|vpnkit|docker|guest .+)$/.test(raw);
}

function isText(raw: unknown): raw is string {
  return typeof raw === 'string' && raw.length > 0 && raw.length <= MAX_TEXT;
}

function isNumber(raw: unknown): raw is number {
  return typeof raw === 'number' && Number.isInteger(raw);
}
