import { readU16, readU32 } from './bytes.ts';

/**
 * The PROXY protocol header, version 2 (HAProxy's proxy-protocol.txt §2.2), that opens a connection to a gateway
 * service: who the guest is and what it meant to reach. Written by `host/proxy-v2.ts`.
 */
export const PROXY_V2_SIGNATURE: readonly number[] = [
  0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
];
/** Signature, version and command, family, length. */
export const PROXY_V2_FIXED_BYTES = 16;
/** Version 2, command PROXY. */
export const PROXY_V2_COMMAND = 0x21;
/** AF_INET, SOCK_STREAM. */
export const PROXY_V2_TCP4 = 0x11;
/** AF_INET6, SOCK_STREAM. */
export const PROXY_V2_TCP6 = 0x21;
/** Two IPv4 addresses and two ports. */
export const PROXY_V2_TCP4_BYTES = 12;
/** Type and length of an extension (§2.2.7). */
export const PROXY_V2_EXTENSION_BYTES = 3;
/**
 * The extension that names the guest's attachment, as UTF-8: the first of those that are left to applications (§2.2.7,
 * PP2_TYPE_MIN_CUSTOM).
 */
export const PROXY_V2_ATTACHMENT = 0xe0;

export type ProxyV2Fault = 'proxy-bad-signature' | 'proxy-unknown-command' | 'proxy-unknown-family';

export interface ProxyV2Header {
  readonly sourceAddress: number;
  readonly sourcePort: number;
  readonly destinationAddress: number;
  readonly destinationPort: number;
  /** The place of the attachment's name in the bytes; both 0 where the header has none. */
  readonly attachmentAt: number;
  readonly attachmentBytes: number;
  /** Of the whole header, extensions included: the stream's own bytes begin there. */
  readonly headerBytes: number;
}

/** Reads the header at [at, end); undefined while it is not complete. Never throws, never reads past `end`. */
export function parseProxyV2(bytes: Uint8Array, at: number, end: number): ProxyV2Header | ProxyV2Fault | undefined {
  const here = Math.min(end - at, PROXY_V2_SIGNATURE.length);
  for (let i = 0; i < here; i++) if (bytes[at + i] !== PROXY_V2_SIGNATURE[i]) return 'proxy-bad-signature';
  if (end - at < PROXY_V2_FIXED_BYTES) return undefined;
  if (bytes[at + 12] !== PROXY_V2_COMMAND) return 'proxy-unknown-command';
  const length = readU16(bytes, at + 14);
  if (bytes[at + 13] !== PROXY_V2_TCP4 || length < PROXY_V2_TCP4_BYTES) return 'proxy-unknown-family';
  if (end - at < PROXY_V2_FIXED_BYTES + length) return undefined;
  const headerBytes = PROXY_V2_FIXED_BYTES + length;
  const [attachmentAt, attachmentBytes] = findAttachment(
    bytes,
    at + PROXY_V2_FIXED_BYTES + PROXY_V2_TCP4_BYTES,
    at + headerBytes,
  );
  return {
    attachmentAt,
    attachmentBytes,
    sourceAddress: readU32(bytes, at + 16),
    destinationAddress: readU32(bytes, at + 20),
    sourcePort: readU16(bytes, at + 24),
    destinationPort: readU16(bytes, at + 26),
    headerBytes,
  };
}

/** Where it stands among the extensions in [at, end), and its length. */
function findAttachment(bytes: Uint8Array, at: number, end: number): readonly [number, number] {
  for (let here = at; end - here >= PROXY_V2_EXTENSION_BYTES; ) {
    const length = readU16(bytes, here + 1);
    if (end - here - PROXY_V2_EXTENSION_BYTES < length) break;
    if (bytes[here] === PROXY_V2_ATTACHMENT) return [here + PROXY_V2_EXTENSION_BYTES, length];
    here += PROXY_V2_EXTENSION_BYTES + length;
  }
  return [0, 0];
}
