import { formatIpv4Address, parseIpv4Address } from '../wire/ipv4-address.ts';
import { formatIpv6Address, parseIpv6Address } from '../wire/ipv6-address.ts';
import type { ForwardSpec } from './forward.ts';
import { Mismatch, socketPath, type ValueParser } from './values.ts';

/** Ports in a row, both ends included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** What `docker run -p` says of a forward; the rest of a ForwardSpec comes from elsewhere. */
export type PublishedPort = Pick<ForwardSpec, 'protocol' | 'host' | 'guest' | 'count'>;

/** Where clients come in, before it is known which guest ports they reach. */
export type HostPlace =
  | { readonly kind: 'ports'; readonly address: string; readonly ports: PortRange }
  | { readonly kind: 'unix'; readonly path: string };

export interface GuestPorts {
  readonly address: number | undefined;
  readonly ports: PortRange;
}

/** Ports that the host chooses are one forward each. */
const MAX_CHOSEN = 1_024;
const FORM = '[[ADDRESS:]HOSTPORT[-LAST]:]GUESTPORT[-LAST][/tcp|udp], as in 8080:80';

/**
 * Reads what `docker run -p` takes, to the letter: `[[ADDRESS:]HOSTPORT[-LAST]:]GUESTPORT[-LAST][/PROTOCOL]`, an IPv6
 * address in brackets or bare. Without a host port, or with 0, the host chooses one; a range of host ports for one
 * guest port is a choice among them. One forward, or as many as there are ports to choose. Never throws.
 */
export function parsePortSpec(text: string): readonly PublishedPort[] | Mismatch {
  const slash = text.indexOf('/');
  const protocol = slash < 0 ? 'tcp' : text.slice(slash + 1).toLowerCase() || 'tcp';
  const parts = (slash < 0 ? text : text.slice(0, slash)).split(':');
  const guestText = parts.pop() ?? '';
  const hostText = parts.pop() ?? '';
  if (guestText === '') return new Mismatch(`a port of the guest at the end: ${FORM}`);
  if (protocol !== 'tcp' && protocol !== 'udp') return new Mismatch('tcp or udp after the slash');
  const address = addressOf(parts.join(':'));
  if (address instanceof Mismatch) return address;
  const guest = parsePortRange(guestText);
  if (guest === undefined || guest.first === 0) {
    return new Mismatch(
      `a port of the guest from 1 to 65535, or a range such as 8000-8100, in place of ${quoted(guestText)}`,
    );
  }
  const host = hostText === '' ? { first: 0, last: 0 } : parsePortRange(hostText);
  if (host === undefined || (host.first === 0 && host.last > 0)) {
    return new Mismatch(
      `a port of the host from 0 to 65535, or a range such as 8000-8100, in place of ${quoted(hostText)}`,
    );
  }
  return publishedPorts(protocol, address, host, undefined, guest);
}

/**
 * The forwards that join two ranges. `host` 0: each port is chosen; one guest port for a range of the host: one of
 * these is.
 */
export function publishedPorts(
  protocol: 'tcp' | 'udp',
  hostAddress: string,
  host: PortRange,
  guestAddress: number | undefined,
  guest: PortRange,
): readonly PublishedPort[] | Mismatch {
  const count = guest.last - guest.first + 1;
  const hostCount = host.last - host.first + 1;
  const joined = (port: number, guestPort: number, ports: number): PublishedPort => ({
    protocol,
    host: { kind: 'port', address: hostAddress, port },
    guest: { kind: 'port', address: guestAddress, port: guestPort },
    count: ports,
  });
  if (host.last === 0) {
    if (count > MAX_CHOSEN)
      return new Mismatch(`at most ${MAX_CHOSEN} ports for the host to choose, or a range of host ports`);
    return Array.from({ length: count }, (_, i) => joined(0, guest.first + i, 1));
  }
  if (count === hostCount) return [joined(host.first, guest.first, count)];
  if (count > 1) {
    return new Mismatch(
      `two ranges of equal length (the host's has ${counted(hostCount)}, the guest's ${counted(count)})`,
    );
  }
  const one = joined(host.first, guest.first, 1);
  return [{ ...one, host: { kind: 'port', address: hostAddress, port: host.first, lastPort: host.last } }];
}

/** "80" or "8000-8100", decimal digits only. */
export function parsePortRange(text: string): PortRange | undefined {
  const match = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  return match !== null && first <= last && last <= 65_535 ? { first, last } : undefined;
}

function addressOf(text: string): string | Mismatch {
  const bracketed = /^\[(.*)\]$/.exec(text)?.[1];
  const address = listenAddress(bracketed ?? text);
  const fits = bracketed === undefined || bracketed.includes(':');
  return address !== undefined && fits && text !== '*' && !text.includes('%')
    ? address
    : new Mismatch(
        `an address of this computer such as 127.0.0.1 or [::1] before the ports, in place of ${quoted(text)}`,
      );
}

function counted(ports: number): string {
  return ports === 1 ? '1 port' : `${ports} ports`;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 37)}...` : text);
}

/** "8080", "127.0.0.1:8080", "[::1]:8000-8100", ":80", "*:80", or the path of a unix socket. */
export const hostPlace: ValueParser<HostPlace> = (raw) => {
  const text = typeof raw === 'number' ? String(raw) : raw;
  if (typeof text === 'string' && text.startsWith('/')) {
    const path = socketPath(text);
    return path instanceof Mismatch ? path : { kind: 'unix', path };
  }
  const [address, ports] = place(text);
  const listening = address === undefined ? undefined : listenAddress(address);
  const range = ports === undefined ? undefined : parsePortRange(ports);
  if (listening === undefined || range === undefined || (range.first === 0 && range.last > 0)) {
    return new Mismatch(
      'a port of this computer such as 8080, "127.0.0.1:8080", "[::1]:8000-8100" or 0 (one is chosen), or the path of a socket',
    );
  }
  return { kind: 'ports', address: listening, ports: range };
};

/** "80", "192.168.65.3:80", "9000-9100". */
export const guestPlace: ValueParser<GuestPorts> = (raw) => {
  const [address, ports] = place(typeof raw === 'number' ? String(raw) : raw);
  const guest = address === undefined || address === '' ? undefined : parseIpv4Address(address);
  const range = ports === undefined ? undefined : parsePortRange(ports);
  if (address === undefined || (address !== '' && guest === undefined) || range === undefined || range.first === 0) {
    return new Mismatch('a port of the guest such as 80, "192.168.65.3:80" or 9000-9100');
  }
  return { address: guest, ports: range };
};

/** Splits "ADDRESS:PORT" at the last colon, brackets removed; undefined where the text has not that form. */
function place(text: unknown): readonly [string | undefined, string | undefined] {
  const match = typeof text === 'string' ? /^(?:(?:\[([^\]]*:[^\]]*)\]|([^:[\]]*)):)?([^:]*)$/.exec(text) : null;
  return match === null ? [undefined, undefined] : [match[1] ?? match[2] ?? '', match[3]];
}

/**
 * An address to listen at in the one spelling by which two are the same: IPv4 dotted, IPv6 as RFC 5952 with its zone
 * ("fe80::1%eth0"), '' for every address ("" or "*"), IPv4 in IPv6's form as IPv4. Undefined if it is not an address.
 */
export function listenAddress(text: string): string | undefined {
  if (text === '' || text === '*') return '';
  const address4 = parseIpv4Address(text);
  if (address4 !== undefined) return formatIpv4Address(address4);
  const [plain = '', zone, more] = text.split('%');
  const address6 = parseIpv6Address(plain);
  if (address6 === undefined || more !== undefined || (zone !== undefined && !/^[\w.-]+$/.test(zone))) return undefined;
  const shown = formatIpv6Address(address6, 0);
  if (shown.startsWith('::ffff:') && shown.includes('.')) return zone === undefined ? shown.slice(7) : undefined;
  return zone === undefined ? shown : `${shown}%${zone}`;
}
