/** Unpredictable numbers: initial sequence numbers, hash seeds, IP identifications (RFC 6528, RFC 6056). */
export interface Random {
  /** A uniformly distributed unsigned 32-bit integer. */
  u32(): number;
}
