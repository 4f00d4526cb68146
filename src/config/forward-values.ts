import { parseIpv4Address } from '../wire/ipv4-address.ts';
import type { ServiceForward } from './forward.ts';
import { listenAddress } from './host-address.ts';
import { type PortRange, parsePortRange } from './port-spec.ts';
import { Mismatch, type ValueParser } from './values.ts';
import { isUnixPath, UNIX_PATH_BYTES } from '../facts/unix-path.ts';

/** PATH_MAX of Linux, without the terminator. */
const PATH_BYTES = 4_095;

/** Where clients come in, before it is known which guest ports they reach. */
export type HostPlace =
  | { readonly kind: 'ports'; readonly address: string; readonly ports: PortRange }
  | { readonly kind: 'unix'; readonly path: string };

export interface GuestPlace {
  readonly address: number | undefined;
  readonly ports: PortRange;
}

/** A file that a socket is at. */
export const socketPath: ValueParser<string> = (raw) =>
  isUnixPath(raw) ? raw : new Mismatch(`an absolute path of at most ${UNIX_PATH_BYTES} bytes such as /run/web.sock`);

/** A file of this computer. */
export const filePath: ValueParser<string> = (raw) =>
  typeof raw === 'string' &&
  raw.startsWith('/') &&
  !raw.includes('\0') &&
  new TextEncoder().encode(raw).length <= PATH_BYTES
    ? raw
    : new Mismatch('the absolute path of a file');

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
export const guestPlace: ValueParser<GuestPlace> = (raw) => {
  const [address, ports] = place(typeof raw === 'number' ? String(raw) : raw);
  const guest = address === undefined || address === '' ? undefined : parseIpv4Address(address);
  const range = ports === undefined ? undefined : parsePortRange(ports);
  if (address === undefined || (address !== '' && guest === undefined) || range === undefined || range.first === 0) {
    return new Mismatch('a port of the guest such as 80, "192.168.65.3:80" or 9000-9100');
  }
  return { address: guest, ports: range };
};

/** Where guests' connections to a service go: "127.0.0.1:5432", "127.0.0.1" (the port stays), "unix:/run/db.sock". */
export const serviceTarget: ValueParser<ServiceForward['target']> = (raw) => {
  const expected = new Mismatch('a service of this computer such as "127.0.0.1:5432", 127.0.0.1 or unix:/run/db.sock');
  if (typeof raw !== 'string') return expected;
  if (raw.startsWith('unix:')) {
    const path = socketPath(raw.slice(5));
    return path instanceof Mismatch ? path : { kind: 'unix', path };
  }
  const match = /^([\d.]+)(?::(\d{1,5}))?$/.exec(raw);
  const address = parseIpv4Address(match?.[1] ?? '');
  const port = Number(match?.[2] ?? 0);
  if (address === undefined || port > 65_535 || match?.[2] === '0') return expected;
  return { kind: 'port', address, port };
};

/** Splits "ADDRESS:PORT" at the last colon, brackets removed; undefined where the text has not that form. */
function place(text: unknown): readonly [string | undefined, string | undefined] {
  const match = typeof text === 'string' ? /^(?:(?:\[([^\]]*:[^\]]*)\]|([^:[\]]*)):)?([^:]*)$/.exec(text) : null;
  return match === null ? [undefined, undefined] : [match[1] ?? match[2] ?? '', match[3]];
}
