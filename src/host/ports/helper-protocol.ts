/**
 * What the daemon says to the privileged helper: one request of 32 bytes, one answer of 8, then the connection is over.
 * All numbers in network order.
 *
 *   request   0 'SWPH'   4 version (1)   5 command (1: bind)   6 protocol (6 TCP, 17 UDP)   7 family (4, 6)
 *             8 address: 16 bytes, IPv4 in the first four, then zeros   24 port   26 zeros   28 interface of a
 *             link-local address
 *   answer    0 'SWPH'   4 version (1)   5 status   6 errno of bind, else 0
 *             with status 0 comes the bound socket (SCM_RIGHTS), not listening, SO_REUSEADDR off, IPv6 only where it is
 *             IPv6
 *
 * Also vmnetd's request, which older programs make: 49 bytes 'VMN3T', version 22, a commit, both ways; then 8 bytes:
 * command 6, IPv4 with its bytes reversed, port (little-endian), 0 TCP or 1 UDP; answered by 8 bytes, an errno of macOS
 * first.
 */
import type { Place, PortProtocol } from './socket-calls.ts';

export interface BindRequest {
  readonly protocol: PortProtocol;
  readonly place: Place;
  readonly port: number;
}

/** By number. */
export const HELPER_STATUS = [
  'bound',
  'not-allowed',
  'bad-request',
  'too-often',
  'bind-failed',
  'bad-version',
] as const;
export type HelperStatus = (typeof HELPER_STATUS)[number];

export interface HelperAnswer {
  readonly status: HelperStatus;
  /** Of bind, a number of this system; 0 for none. */
  readonly errno: number;
}

export const REQUEST_BYTES = 32;
export const ANSWER_BYTES = 8;
const MAGIC: Uint8Array = Buffer.from('SWPH');
const VERSION = 1;
const BIND = 1;
const TCP = 6;
const UDP = 17;

export const VMNETD_GREETING_BYTES = 49;
export const VMNETD_REQUEST_BYTES = 8;
const VMNETD_MAGIC: Uint8Array = Buffer.from('VMN3T');
const VMNETD_VERSION = 22;
const VMNETD_BIND = 6;
/** What macOS numbers differently from Linux, and clients look for. */
const MACOS_ERRNO: ReadonlyMap<number, number> = new Map([
  [98, 48],
  [99, 49],
  [97, 47],
]);

/** Who speaks, by the first bytes; undefined while there are too few to tell. */
export function dialectOf(bytes: Uint8Array): 'slipway' | 'vmnetd' | 'garbage' | undefined {
  if (startsAlike(bytes, MAGIC)) return bytes.length < MAGIC.length ? undefined : 'slipway';
  if (startsAlike(bytes, VMNETD_MAGIC)) return bytes.length < VMNETD_MAGIC.length ? undefined : 'vmnetd';
  return 'garbage';
}

export function writeRequest({ protocol, place, port }: BindRequest): Uint8Array {
  const bytes = Buffer.alloc(REQUEST_BYTES);
  bytes.set(MAGIC);
  bytes.set([VERSION, BIND, protocol === 'tcp' ? TCP : UDP, place.family], 4);
  bytes.set(place.address, 8);
  bytes.writeUInt16BE(port, 24);
  bytes.writeUInt32BE(place.scope, 28);
  return bytes;
}

/**
 * Reads the request from the first REQUEST_BYTES, which begin with the magic; or says why it is invalid. Never throws.
 */
export function parseRequest(bytes: Uint8Array): BindRequest | 'bad-version' | 'bad-request' {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const [version, command, protocol, family] = bytes.subarray(4, 8);
  if (version !== VERSION) return 'bad-version';
  if (command !== BIND || (protocol !== TCP && protocol !== UDP) || view.getUint16(26) !== 0) return 'bad-request';
  const name = protocol === TCP ? 'tcp' : 'udp';
  const port = view.getUint16(24);
  const scope = view.getUint32(28);
  if (family === 6) return { protocol: name, place: { family: 6, address: bytes.slice(8, 24), scope }, port };
  if (family !== 4 || scope !== 0 || bytes.subarray(12, 24).some((byte) => byte !== 0)) return 'bad-request';
  return { protocol: name, place: { family: 4, address: bytes.slice(8, 12), scope: 0 }, port };
}

export function writeAnswer({ status, errno }: HelperAnswer): Uint8Array {
  const bytes = Buffer.alloc(ANSWER_BYTES);
  bytes.set(MAGIC);
  bytes.set([VERSION, HELPER_STATUS.indexOf(status)], 4);
  bytes.writeUInt16BE(errno, 6);
  return bytes;
}

/** Undefined for anything else than an answer of this version. */
export function parseAnswer(bytes: Uint8Array): HelperAnswer | undefined {
  const status = HELPER_STATUS[bytes[5] ?? -1];
  const known = bytes.length === ANSWER_BYTES && startsAlike(bytes, MAGIC) && bytes[4] === VERSION;
  return known && status !== undefined ? { status, errno: (bytes[6]! << 8) | bytes[7]! } : undefined;
}

/** The helper's own greeting in vmnetd's protocol; it goes to every version, as vmnetd's does. */
export function vmnetdGreeting(): Uint8Array {
  const bytes = Buffer.alloc(VMNETD_GREETING_BYTES);
  bytes.set(VMNETD_MAGIC);
  bytes.writeUInt32LE(VMNETD_VERSION, VMNETD_MAGIC.length);
  return bytes;
}

/** The request that follows a greeting; both together are in `bytes`. */
export function parseVmnetdRequest(bytes: Uint8Array): BindRequest | 'bad-version' | 'bad-request' {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (view.getUint32(VMNETD_MAGIC.length, true) !== VMNETD_VERSION) return 'bad-version';
  const at = VMNETD_GREETING_BYTES;
  const kind = bytes[at + 7]!;
  if (bytes[at] !== VMNETD_BIND || kind > 1) return 'bad-request';
  const place: Place = { family: 4, address: bytes.slice(at + 1, at + 5).reverse(), scope: 0 };
  return { protocol: kind === 0 ? 'tcp' : 'udp', place, port: view.getUint16(at + 5, true) };
}

/** vmnetd's answer: 0, or an errno as macOS numbers it. */
export function writeVmnetdAnswer({ status, errno }: HelperAnswer): Uint8Array {
  const bytes = Buffer.alloc(8);
  const EPERM = 1;
  const number = status === 'bound' ? 0 : status === 'bind-failed' ? errno : EPERM;
  bytes.writeUInt16LE(MACOS_ERRNO.get(number) ?? number, 0);
  return bytes;
}

/** True when the shorter of both begins the longer. */
function startsAlike(bytes: Uint8Array, magic: Uint8Array): boolean {
  return magic.every((byte, i) => i >= bytes.length || bytes[i] === byte);
}
