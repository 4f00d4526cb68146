/** Milliseconds from an arbitrary start, never going back; the network reads it once a turn. */
export interface Clock {
  nowMs(): number;
}
