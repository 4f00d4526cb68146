import type { AttachmentPlace, TcpPlace, UnixPlace } from '../env/attachment-place.ts';
import { UNIX_PATH_BYTES } from '../facts/unix-path.ts';
import { formatIpv4Address, parseIpv4Address } from '../wire/ipv4-address.ts';

/** Where guests attach: one `--listen`. */
export interface AttachmentUrl {
  /** As the person wrote it. */
  readonly text: string;
  readonly protocol: 'qemu';
  /** Slipway dials and redials (QEMU with `server=on`) instead of listening. */
  readonly connect: boolean;
  readonly target: AttachmentPlace;
}

const FORMS = 'qemu+unix:///path or qemu+tcp://127.0.0.1:port, each with ?connect to dial instead of listen';

/** Parses an attachment URL; what comes back as text is what was expected instead. Never throws. */
export function parseListenUrl(text: string): AttachmentUrl | string {
  const match = /^([a-z0-9+]+):\/\/([^?]*)(?:\?(.*))?$/.exec(text);
  if (match === null) return FORMS;
  const [, scheme = '', rest = '', query] = match;
  if (query !== undefined && query !== 'connect') return `nothing but "connect" after the question mark of the URL`;
  const connect = query === 'connect';
  const target = scheme === 'qemu+unix' ? unixTarget(rest) : scheme === 'qemu+tcp' ? tcpTarget(rest, connect) : FORMS;
  return typeof target === 'string' ? target : { text, protocol: 'qemu', connect, target };
}

function unixTarget(rest: string): UnixPlace | string {
  let path: string;
  try {
    path = decodeURIComponent(rest);
  } catch {
    return 'a path whose percent signs are written as %25';
  }
  if (!path.startsWith('/') || path.endsWith('/') || path.includes('\0')) {
    return 'an absolute path, as in qemu+unix:///run/slipway.sock (three slashes)';
  }
  const bytes = new TextEncoder().encode(path).length;
  if (bytes > UNIX_PATH_BYTES) return `a socket path of at most ${UNIX_PATH_BYTES} bytes (this one has ${bytes})`;
  return { kind: 'unix', path };
}

function tcpTarget(rest: string, connect: boolean): TcpPlace | string {
  const match = /^([^:/]+):(\d{1,5})\/?$/.exec(rest);
  const port = Number(match?.[2] ?? -1);
  if (match === null || port > 65535) return 'an address and a port, as in qemu+tcp://127.0.0.1:4444';
  if (connect && port === 0) return 'a port from 1 to 65535 to connect to';
  const name = match[1] ?? '';
  const address = name === 'localhost' ? 0x7f000001 : parseIpv4Address(name);
  if (address === undefined) return 'an IPv4 loopback address, as in qemu+tcp://127.0.0.1:4444';
  if (address >>> 24 !== 127) {
    return `a loopback address such as 127.0.0.1: ${connect ? 'QEMU is dialled' : 'this port is'} without a password, so ${name} would let other computers ${connect ? 'read every frame' : 'join the network'}`;
  }
  return { kind: 'tcp', address, port };
}

/** The first that stands there twice. Port 0 is another one each time. */
export function repeatedUrl(urls: readonly AttachmentUrl[]): AttachmentUrl | undefined {
  return urls.find((url, index) => {
    const place = placeOf(url);
    return place !== undefined && urls.slice(0, index).some((before) => placeOf(before) === place);
  });
}

function placeOf({ target, connect }: AttachmentUrl): string | undefined {
  const place = target.kind === 'unix' ? target.path : target.port > 0 ? `${target.address}:${target.port}` : undefined;
  return place === undefined ? undefined : `${place} ${connect}`;
}

/** The QEMU arguments that join a guest through `url`; `bound` is the port of a listener, where it was left to the host. For QEMU ≥ 7.2. */
export function qemuArguments(url: AttachmentUrl, bound = 0): string {
  const server = url.connect ? ',server=on' : '';
  const { target } = url;
  const address =
    target.kind === 'unix'
      ? `addr.type=unix,addr.path=${target.path.replaceAll(',', ',,')}`
      : `addr.type=inet,addr.host=${formatIpv4Address(target.address)},addr.port=${bound || target.port}`;
  const netdev = `stream,id=net0${server},${address}`;
  return `-netdev ${shellQuoted(netdev)} -device virtio-net-pci,netdev=net0`;
}

function shellQuoted(word: string): string {
  return /^[\w./:=,+@%-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
