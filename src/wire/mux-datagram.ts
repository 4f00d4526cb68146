import { readU16le, writeU16le } from './bytes.ts';

/**
 * A UDP datagram inside a channel of vpnkit's multiplexer (moby/vpnkit, go/pkg/libproxy/udp_encapsulation.go), where
 * the channel is a stream: `u16 length of all that follows and itself, u16 address length, address, u16 port, u16 zone
 * length, zone, u16 payload length, payload`, little-endian. The end that dials leaves the address empty. An end may
 * cut the stream anywhere (Go sends three Data frames a datagram), so it is collected first.
 */
const LENGTH_BYTES = 2;
/** Length, address length, port, zone length and payload length. */
const FIXED_BYTES = 10;
const MAX_DATAGRAM_BYTES = 0xffff;
/**
 * The largest payload that a datagram over IPv4 can have (RFC 768, RFC 791), which is also what fits with any address.
 */
export const MUX_MAX_PAYLOAD_BYTES = 65_507;

export interface MuxDatagram {
  /** 0, 4 or 16 octets. */
  readonly address: Uint8Array;
  readonly port: number;
  readonly payload: Uint8Array;
}

/** One datagram, encapsulated; undefined where the payload is larger than any UDP datagram. The zone stays empty. */
export function muxDatagram(datagram: MuxDatagram): Uint8Array | undefined {
  const { address, port, payload } = datagram;
  if (payload.length > MUX_MAX_PAYLOAD_BYTES) return undefined;
  const bytes = new Uint8Array(FIXED_BYTES + address.length + payload.length);
  const portAt = 2 * LENGTH_BYTES + address.length;
  writeU16le(bytes, 0, bytes.length);
  writeU16le(bytes, LENGTH_BYTES, address.length);
  bytes.set(address, 2 * LENGTH_BYTES);
  writeU16le(bytes, portAt, port);
  writeU16le(bytes, portAt + 4, payload.length);
  bytes.set(payload, FIXED_BYTES + address.length);
  return bytes;
}

/** Puts the datagrams of one channel together again. Holds at most one that is not complete: 64 KiB. */
export class MuxDatagramReader {
  readonly #bytes = new Uint8Array(MAX_DATAGRAM_BYTES);
  #filled = 0;

  /**
   * Takes the next octets of the stream and calls `deliver` for each datagram that they complete; its fields are views
   * that are valid during the call. Returns false where the stream is not one of datagrams: nothing after it can be
   * read.
   */
  receive(bytes: Uint8Array, deliver: (datagram: MuxDatagram) => void): boolean {
    for (let at = 0; at < bytes.length; ) {
      const wanted = this.#filled < LENGTH_BYTES ? LENGTH_BYTES : readU16le(this.#bytes, 0);
      const length = Math.min(wanted - this.#filled, bytes.length - at);
      this.#bytes.set(bytes.subarray(at, at + length), this.#filled);
      this.#filled += length;
      at += length;
      if (this.#filled < LENGTH_BYTES) break;
      const whole = readU16le(this.#bytes, 0);
      if (whole < FIXED_BYTES) return false;
      if (this.#filled < whole) continue;
      this.#filled = 0;
      const datagram = parse(this.#bytes, whole);
      if (datagram === undefined) return false;
      deliver(datagram);
    }
    return true;
  }
}

function parse(bytes: Uint8Array, end: number): MuxDatagram | undefined {
  const addressAt = 2 * LENGTH_BYTES;
  const addressBytes = readU16le(bytes, LENGTH_BYTES);
  if ((addressBytes !== 0 && addressBytes !== 4 && addressBytes !== 16) || FIXED_BYTES + addressBytes > end)
    return undefined;
  const portAt = addressAt + addressBytes;
  const zoneBytes = readU16le(bytes, portAt + 2);
  if (FIXED_BYTES + addressBytes + zoneBytes > end) return undefined;
  const payloadAt = FIXED_BYTES + addressBytes + zoneBytes;
  if (payloadAt + readU16le(bytes, payloadAt - LENGTH_BYTES) !== end) return undefined;
  return {
    address: bytes.subarray(addressAt, portAt),
    port: readU16le(bytes, portAt),
    payload: bytes.subarray(payloadAt, end),
  };
}
