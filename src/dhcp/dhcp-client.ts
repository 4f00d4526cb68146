/** Ids of ports begin above it. */
export const UNKNOWN_PLACE = 0;

/** Who asks. */
export interface DhcpClient {
  /** Equal for the same client, as `clientKey` makes it. */
  readonly key: string;
  /** A 48-bit number. */
  readonly mac: number;
  /**
   * Where it is: the id of its port at the switch; UNKNOWN_PLACE for a lease of an earlier run whose client was not
   * heard yet.
   */
  readonly place: number;
}

/**
 * The key of a client: its identifier (option 61, RFC 2131 §2, RFC 4361), else its MAC. An identifier that is only the
 * MAC with its hardware type (RFC 2132 §9.14) counts as the MAC.
 */
export function clientKey(identifier: Uint8Array | undefined, mac: number): string {
  const plain = mac.toString(16).padStart(12, '0');
  if (identifier === undefined || identifier.length < 2) return plain;
  let hex = '';
  for (const byte of identifier) hex += byte.toString(16).padStart(2, '0');
  return hex === `01${plain}` ? plain : `id-${hex}`;
}
