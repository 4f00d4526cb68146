import { latin1From, readU16le, writeLatin1, writeU16le } from './bytes.ts';

/**
 * What each end of a vpnkit multiplexer sends before anything else: 52 octets of text, `u16` (little-endian) length of
 * a payload, the payload. vpnkit sends none and ignores ours (moby/vpnkit, go/pkg/libproxy/handshake.go), so ours says
 * what Slipway adds to the protocol: `slipway 1`, a line feed, and 32 octets chosen at random for this connection.
 */
const TEXT = 'https://github.com/moby/vpnkit multiplexer protocol\n';
const FIXED_BYTES = TEXT.length + 2;
const OURS = 'slipway 1\n';
export const MUX_NONCE_BYTES = 32;
/** A peer that announces more is not one of ours, nor vpnkit. */
const MAX_PAYLOAD_BYTES = 1024;

export interface MuxGreeting {
  /** Of the whole greeting: frames begin there. */
  readonly bytes: number;
  /** The peer's random octets, from a peer that knows Slipway's frames. */
  readonly nonce: Uint8Array | undefined;
}

/** Slipway's greeting. */
export function muxGreeting(nonce: Uint8Array): Uint8Array {
  const payload = OURS.length + MUX_NONCE_BYTES;
  const bytes = new Uint8Array(FIXED_BYTES + payload);
  writeLatin1(bytes, 0, TEXT);
  writeU16le(bytes, TEXT.length, payload);
  writeLatin1(bytes, FIXED_BYTES, OURS);
  bytes.set(nonce, FIXED_BYTES + OURS.length);
  return bytes;
}

/**
 * Reads the greeting at [at, end); undefined while it is not complete. Says at the first wrong octet that it is none.
 */
export function parseMuxGreeting(
  bytes: Uint8Array,
  at: number,
  end: number,
): MuxGreeting | 'mux-bad-greeting' | undefined {
  const here = Math.min(end - at, TEXT.length);
  for (let i = 0; i < here; i++) if (bytes[at + i] !== TEXT.charCodeAt(i)) return 'mux-bad-greeting';
  if (end - at < FIXED_BYTES) return undefined;
  const length = readU16le(bytes, at + TEXT.length);
  if (length > MAX_PAYLOAD_BYTES) return 'mux-bad-greeting';
  if (end - at < FIXED_BYTES + length) return undefined;
  const payload = at + FIXED_BYTES;
  const ours = length >= OURS.length + MUX_NONCE_BYTES && latin1From(bytes, payload, OURS.length) === OURS;
  const nonceAt = payload + OURS.length;
  return { bytes: FIXED_BYTES + length, nonce: ours ? bytes.slice(nonceAt, nonceAt + MUX_NONCE_BYTES) : undefined };
}
