import { asciiFrom, latin1From } from '../wire/bytes.ts';

/** Enough to recognise a protocol by, short enough for one log line. */
const SHOWN_BYTES = 24;

/** What a peer's first bytes look like, for the log. */
export interface Stranger {
  readonly hex: string;
  /** Unprintable bytes as dots. */
  readonly ascii: string;
  /** 'an HTTP client', when the bytes are known. */
  readonly peer: string | undefined;
}

/** First bytes of those who connect to the wrong port. */
const PEERS: readonly (readonly [start: string, peer: string])[] = [
  ['GET ', 'an HTTP client'],
  ['POST', 'an HTTP client'],
  ['HEAD', 'an HTTP client'],
  ['PUT ', 'an HTTP client'],
  ['OPTI', 'an HTTP client'],
  ['CONN', 'an HTTP client'],
  ['HTTP', 'an HTTP server'],
  ['PRI ', 'an HTTP/2 client'],
  ['SSH-', 'an SSH client'],
  // TLS record header: handshake, version 3.x (RFC 8446 §5.1).
  ['\x16\x03', 'a TLS client'],
  ['VMN3', 'a vpnkit client'],
  ['PROX', 'a PROXY protocol client'],
];

/** Describes the bytes at [at, end), at most 24 of them. */
export function describeStranger(bytes: Uint8Array, at: number, end: number): Stranger {
  const length = Math.min(end - at, SHOWN_BYTES);
  const hex = Array.from(bytes.subarray(at, at + length), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  const text = latin1From(bytes, at, length);
  const peer = PEERS.find(([start]) => text.startsWith(start))?.[1];
  return { hex, ascii: asciiFrom(bytes, at, length), peer };
}
