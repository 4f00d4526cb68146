import { seqLt, seqLte } from '../wire/seqnum.ts';

/** What the guest takes beyond the last number that it acknowledged (RFC 9293 §3.8.6). */
export class GuestWindow {
  /** Bytes. */
  bytes: number;
  /** The largest that it ever told (RFC 5961 §5.2, MAX.SND.WND). */
  largest: number;
  /** Number and acknowledgment of the segment that told it: SND.WL1 and SND.WL2. */
  #sequence: number;
  #acknowledgment: number;

  constructor(bytes: number, sequence: number, acknowledgment: number) {
    this.bytes = bytes;
    this.largest = bytes;
    this.#sequence = sequence;
    this.#acknowledgment = acknowledgment;
  }

  /**
   * RFC 9293 §3.10.7.4: takes what a segment tells, unless that is older than what is known. Returns whether it is
   * another window.
   */
  take(bytes: number, sequence: number, acknowledgment: number): boolean {
    const isNewer =
      seqLt(this.#sequence, sequence) || (this.#sequence === sequence && seqLte(this.#acknowledgment, acknowledgment));
    if (!isNewer) return false;
    const changed = bytes !== this.bytes;
    this.bytes = bytes;
    if (bytes > this.largest) this.largest = bytes;
    this.#sequence = sequence;
    this.#acknowledgment = acknowledgment;
    return changed;
  }
}
