import { asciiFrom, latin1From, readU16le, readU32le, writeLatin1, writeU16le, writeU32le } from './bytes.ts';

/**
 * The frames of vpnkit's multiplexer protocol, which carries many streams over one between a host and the forwarder in
 * a guest. All integers are little-endian. Source: moby/vpnkit, go/pkg/libproxy (frame.go, handshake.go), whose test
 * inputs are our golden vectors.
 *
 * A frame is a header and, for Data alone, a payload that follows it:
 * `u16 header length, u8 command, u32 channel, body of the command`.
 *
 * Slipway adds commands of its own above 0x40. They are sent only to a peer whose greeting said that it knows them.
 */
export const MUX_OPEN = 1;
export const MUX_CLOSE = 2;
export const MUX_SHUTDOWN = 3;
export const MUX_DATA = 4;
export const MUX_WINDOW = 5;
/** Slipway's: the other end answers with a pong. */
export const MUX_PING = 0x40;
export const MUX_PONG = 0x41;
/** Slipway's: says why the Close that follows comes. One octet, the reason; then text for people. */
export const MUX_REASON = 0x42;
/** Slipway's: proof that the sender knows the secret of both ends. */
export const MUX_PROOF = 0x43;

export const MUX_HEADER_BYTES = 7;
export const MUX_DATA_HEADER_BYTES = 11;
const WINDOW_HEADER_BYTES = 15;
const MULTIPLEXED = 2;
const DEDICATED = 1;
const PROTOCOLS = ['tcp', 'udp', 'unix'] as const;
/** Above every frame that is defined: the longest is an Open with a socket's path of 107 octets, or a Reason. */
export const MUX_MAX_HEADER_BYTES = 1024;
export const MUX_PROOF_BYTES = 32;
/** Of a Reason's text. */
export const MUX_REASON_TEXT_BYTES = 512;
const IPV4_MAPPED: readonly number[] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/**
 * Where the far end is to connect a channel: an address of 4 or 16 octets (0 in an unbound one) and a port, or a path.
 */
export type MuxDestination =
  | { readonly protocol: 'tcp' | 'udp'; readonly address: Uint8Array; readonly port: number }
  | { readonly protocol: 'unix'; readonly path: string };

/** Why a channel was closed without having been finished: the words of a Reason, in the order of their numbers. */
export const MUX_REASONS = [
  'refused',
  'unreachable',
  'timed-out',
  'no-such-path',
  'not-allowed',
  'too-many',
  'reset',
  'failed',
] as const;
export type MuxReason = (typeof MUX_REASONS)[number];

export type MuxFrame =
  | { readonly command: typeof MUX_OPEN; readonly channel: number; readonly destination: MuxDestination }
  | { readonly command: typeof MUX_CLOSE | typeof MUX_SHUTDOWN; readonly channel: number }
  | { readonly command: typeof MUX_DATA; readonly channel: number; readonly payloadBytes: number }
  | { readonly command: typeof MUX_WINDOW; readonly channel: number; readonly end: number }
  | { readonly command: typeof MUX_PING | typeof MUX_PONG; readonly channel: number }
  | { readonly command: typeof MUX_REASON; readonly channel: number; readonly reason: MuxReason; readonly text: string }
  | { readonly command: typeof MUX_PROOF; readonly channel: number; readonly proof: Uint8Array };

export type MuxFault =
  | 'mux-bad-length'
  | 'mux-unknown-command'
  | 'mux-dedicated-channel'
  | 'mux-unknown-protocol'
  | 'mux-bad-destination';

/**
 * Octets of the frame's header, as its first two say, or undefined while they have not come.
 */
export function muxHeaderBytes(bytes: Uint8Array, at: number, end: number): number | MuxFault | undefined {
  if (end - at < 2) return undefined;
  const length = readU16le(bytes, at);
  return length < MUX_HEADER_BYTES || length > MUX_MAX_HEADER_BYTES ? 'mux-bad-length' : length;
}

/** Reads the header that fills [at, end). Never throws, never reads past `end`. */
export function parseMuxFrame(bytes: Uint8Array, at: number, end: number): MuxFrame | MuxFault {
  const command = bytes[at + 2]!;
  const channel = readU32le(bytes, at + 3);
  const body = at + MUX_HEADER_BYTES;
  switch (command) {
    case MUX_OPEN:
      return parseOpen(bytes, body, end, channel);
    case MUX_CLOSE:
    case MUX_SHUTDOWN:
    case MUX_PING:
    case MUX_PONG:
      return { command, channel };
    case MUX_DATA:
      if (end - body < 4) return 'mux-bad-length';
      return { command, channel, payloadBytes: readU32le(bytes, body) };
    case MUX_WINDOW:
      if (end - body < 8) return 'mux-bad-length';
      return { command, channel, end: readU64le(bytes, body) };
    case MUX_REASON: {
      if (end - body < 1) return 'mux-bad-length';
      const reason = MUX_REASONS[bytes[body]!] ?? 'failed';
      return { command, channel, reason, text: asciiFrom(bytes, body + 1, end - body - 1) };
    }
    case MUX_PROOF:
      if (end - body !== MUX_PROOF_BYTES) return 'mux-bad-length';
      return { command, channel, proof: bytes.slice(body, end) };
    default:
      return 'mux-unknown-command';
  }
}

function parseOpen(bytes: Uint8Array, at: number, end: number, channel: number): MuxFrame | MuxFault {
  if (end - at < 4) return 'mux-bad-length';
  if (bytes[at] === DEDICATED) return 'mux-dedicated-channel';
  const protocol = PROTOCOLS[bytes[at + 1]! - 1];
  if (bytes[at] !== MULTIPLEXED || protocol === undefined) return 'mux-unknown-protocol';
  const length = readU16le(bytes, at + 2);
  const value = at + 4;
  if (protocol === 'unix') {
    if (end - value < length || length === 0) return 'mux-bad-destination';
    return { command: MUX_OPEN, channel, destination: { protocol, path: latin1From(bytes, value, length) } };
  }
  if (end - value < length + 2) return 'mux-bad-length';
  if (length !== 0 && length !== 4 && length !== 16) return 'mux-bad-destination';
  const address = unmapped(bytes.slice(value, value + length));
  return { command: MUX_OPEN, channel, destination: { protocol, address, port: readU16le(bytes, value + length) } };
}

/** The four octets of an IPv4 address that is written as an IPv6 one (RFC 4291 §2.5.5.2), as Go writes each of them. */
function unmapped(address: Uint8Array): Uint8Array {
  return address.length === 16 && IPV4_MAPPED.every((octet, i) => address[i] === octet)
    ? address.subarray(12)
    : address;
}

/** An Open. The path of a unix socket is one octet a character (Latin-1). */
export function muxOpen(channel: number, destination: MuxDestination): Uint8Array {
  const value = destination.protocol === 'unix' ? destination.path.length : destination.address.length + 2;
  const frame = header(MUX_OPEN, channel, MUX_HEADER_BYTES + 4 + value);
  frame[MUX_HEADER_BYTES] = MULTIPLEXED;
  frame[MUX_HEADER_BYTES + 1] = PROTOCOLS.indexOf(destination.protocol) + 1;
  const at = MUX_HEADER_BYTES + 4;
  if (destination.protocol === 'unix') {
    writeU16le(frame, MUX_HEADER_BYTES + 2, value);
    writeLatin1(frame, at, destination.path);
  } else {
    writeU16le(frame, MUX_HEADER_BYTES + 2, destination.address.length);
    frame.set(destination.address, at);
    writeU16le(frame, at + destination.address.length, destination.port);
  }
  return frame;
}

/** A frame that is nothing but its command and channel: Close, Shutdown, Ping, Pong. */
export function muxBare(
  command: typeof MUX_CLOSE | typeof MUX_SHUTDOWN | typeof MUX_PING | typeof MUX_PONG,
  channel: number,
): Uint8Array {
  return header(command, channel, MUX_HEADER_BYTES);
}

/** The header of a Data frame; `payloadBytes` octets follow it. */
export function muxData(channel: number, payloadBytes: number): Uint8Array {
  const frame = header(MUX_DATA, channel, MUX_DATA_HEADER_BYTES);
  writeU32le(frame, MUX_HEADER_BYTES, payloadBytes);
  return frame;
}

/** A Window: the peer may send the octets of this channel up to sequence number `end`, counted from 0 at its Open. */
export function muxWindow(channel: number, end: number): Uint8Array {
  const frame = header(MUX_WINDOW, channel, WINDOW_HEADER_BYTES);
  writeU32le(frame, MUX_HEADER_BYTES, end >>> 0);
  writeU32le(frame, MUX_HEADER_BYTES + 4, Math.floor(end / 0x1_0000_0000));
  return frame;
}

/** A Reason. What does not fit of `text`, or is not ASCII, is lost. */
export function muxReason(channel: number, reason: MuxReason, text: string): Uint8Array {
  const short = text.slice(0, MUX_REASON_TEXT_BYTES);
  const frame = header(MUX_REASON, channel, MUX_HEADER_BYTES + 1 + short.length);
  frame[MUX_HEADER_BYTES] = MUX_REASONS.indexOf(reason);
  writeLatin1(frame, MUX_HEADER_BYTES + 1, short);
  return frame;
}

/** A Proof of `MUX_PROOF_BYTES` octets. */
export function muxProof(proof: Uint8Array): Uint8Array {
  const frame = header(MUX_PROOF, 0, MUX_HEADER_BYTES + MUX_PROOF_BYTES);
  frame.set(proof, MUX_HEADER_BYTES);
  return frame;
}

function header(command: number, channel: number, length: number): Uint8Array {
  const frame = new Uint8Array(length);
  writeU16le(frame, 0, length);
  frame[2] = command;
  writeU32le(frame, 3, channel);
  return frame;
}

/** As a number: exact below 2^53 octets, which no stream reaches. */
function readU64le(bytes: Uint8Array, at: number): number {
  return readU32le(bytes, at) + readU32le(bytes, at + 4) * 0x1_0000_0000;
}
