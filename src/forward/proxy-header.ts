import type { HostClient } from '../env/host-listener.ts';
import { readU16, readU32, writeLatin1, writeU16 } from '../wire/bytes.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import {
  PROXY_V2_COMMAND,
  PROXY_V2_FIXED_BYTES,
  PROXY_V2_SIGNATURE,
  PROXY_V2_TCP4,
  PROXY_V2_TCP6,
} from '../wire/proxy-v2.ts';

/**
 * The PROXY protocol header that goes to a guest ahead of a client's bytes (HAProxy's proxy-protocol.txt): the client's
 * own address and the host's that it connected to, as its socket has them.
 */
const UNSPECIFIED = 0x00;

/** A client of a unix socket has no addresses: v1 says UNKNOWN, v2 says unspecified. */
export function proxyHeader(version: 'v1' | 'v2', client: HostClient): Uint8Array {
  return version === 'v1' ? textHeader(client) : binaryHeader(client);
}

/** §2.1 */
function textHeader(client: HostClient): Uint8Array {
  const line = client.port === 0 ? 'PROXY UNKNOWN\r\n' : `PROXY ${addressesAsText(client)}\r\n`;
  const header = new Uint8Array(line.length);
  writeLatin1(header, 0, line);
  return header;
}

function addressesAsText({ clientBytes, localBytes, port, localPort }: HostClient): string {
  if (isMapped(clientBytes) && isMapped(localBytes)) {
    return `TCP4 ${asIpv4(clientBytes)} ${asIpv4(localBytes)} ${port} ${localPort}`;
  }
  return `TCP6 ${asIpv6(clientBytes)} ${asIpv6(localBytes)} ${port} ${localPort}`;
}

/** §2.2 */
function binaryHeader({ clientBytes, localBytes, port, localPort }: HostClient): Uint8Array {
  if (port === 0) return fixedPart(UNSPECIFIED, 0);
  const mapped = isMapped(clientBytes) && isMapped(localBytes);
  const from = mapped ? 12 : 0;
  const bytes = 16 - from;
  const header = fixedPart(mapped ? PROXY_V2_TCP4 : PROXY_V2_TCP6, 2 * bytes + 4);
  header.set(clientBytes.subarray(from, 16), PROXY_V2_FIXED_BYTES);
  header.set(localBytes.subarray(from, 16), PROXY_V2_FIXED_BYTES + bytes);
  writeU16(header, PROXY_V2_FIXED_BYTES + 2 * bytes, port);
  writeU16(header, PROXY_V2_FIXED_BYTES + 2 * bytes + 2, localPort);
  return header;
}

function fixedPart(family: number, addressBytes: number): Uint8Array {
  const header = new Uint8Array(PROXY_V2_FIXED_BYTES + addressBytes);
  header.set(PROXY_V2_SIGNATURE);
  header[12] = PROXY_V2_COMMAND;
  header[13] = family;
  writeU16(header, 14, addressBytes);
  return header;
}

/** ::ffff:a.b.c.d */
function isMapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false;
  return readU16(bytes, 10) === 0xffff;
}

function asIpv4(bytes: Uint8Array): string {
  return formatIpv4Address(readU32(bytes, 12));
}

/** Eight groups, none left out: "no compression" is among the forms that §2.1 allows (RFC 4291 §2.2, form 1). */
function asIpv6(bytes: Uint8Array): string {
  const groups: string[] = [];
  for (let at = 0; at < 16; at += 2) groups.push(readU16(bytes, at).toString(16));
  return groups.join(':');
}
