import { IPV4_MIN_MTU } from '../wire/ipv4.ts';
import { seqGte } from '../wire/seqnum.ts';
import { PACKET_HEADER_BYTES } from './segment-output.ts';

/**
 * What is told below this counts as this (Linux's min_pmtu): 512 bytes of text. Smaller segments would be mostly
 * headers, and a path so narrow is found by timeouts no more than by ICMP.
 */
const LEAST_PATH_MTU = 552;
/**
 * The sizes that a flow falls back to whose segments are lost without a word, and after how many timeouts in a row (RFC
 * 4821 §7.7).
 */
const FALLBACKS = [
  { timeouts: 2, mss: 1024 },
  { timeouts: 4, mss: LEAST_PATH_MTU - PACKET_HEADER_BYTES },
] as const;
/** Of the MTU that most narrower paths have: tried before halving. */
const ETHERNET_MSS = 1500 - PACKET_HEADER_BYTES;
/** The search ends when what is known to pass and what is not are this close. */
const SEARCH_STEP_BYTES = 16;
/** One probe a second: a lost one costs a retransmission, at worst a timeout. */
const PROBE_INTERVAL_MS = 1_000;
/** Paths change: what was too long is tried again after this (RFC 1191 §6.3, RFC 4821 §7.3). */
const RAISE_MS = 600_000;

/**
 * How long the segments to a guest may be. The handshake says what the guest takes; behind it the path may be narrower
 * (a nested router, a VPN). A router there tells by ICMP (RFC 1191); where that is lost, timeouts make the size fall,
 * and single longer segments then find what passes (RFC 4821). A guest that lies about it slows down its own flows.
 */
export class SegmentSize {
  /** Payload bytes of a segment now. */
  mss: number;
  readonly #ceiling: number;
  /** The least that is believed not to pass. */
  #tooLong: number;
  #nextProbeMs = 0;
  /** The probe under way: [#probeStart, #probeEnd) of the sequence space. */
  #probeStart = 0;
  #probeEnd = 0;
  #probeBytes = 0;
  /** What a router said of a probe that was too long for it: the next one has as much. */
  #toldMss = 0;

  constructor(mss: number) {
    this.mss = mss;
    this.#ceiling = mss;
    this.#tooLong = mss + 1;
  }

  /**
   * A router says of the segment at `sequence` that its next link carries `mtu`. Returns what is lost by it: all in
   * flight, where the size fell, or the probe alone. 'nothing' when that is no news: too small to be true, or not below
   * what is sent.
   */
  told(mtu: number, sequence: number, nowMs: number): 'all' | 'probe' | 'nothing' {
    if (mtu < IPV4_MIN_MTU) return 'nothing';
    const mss = Math.max(mtu, LEAST_PATH_MTU) - PACKET_HEADER_BYTES;
    if (mss < this.mss) {
      this.#fall(mss);
      this.#tooLong = mss + 1;
      this.#nextProbeMs = nowMs + RAISE_MS;
      return 'all';
    }
    if (mss >= this.#probeBytes || sequence !== this.#probeStart) return 'nothing';
    this.#toldMss = mss;
    this.#tooLong = mss + 1;
    this.#settle(nowMs);
    return 'probe';
  }

  /** Where the probe ends that `told` spoke of. */
  get probeEnd(): number {
    return this.#probeEnd;
  }

  /** The retransmission timer expired `timeouts` times in a row over `inFlight` bytes. True when the size fell. */
  timedOut(timeouts: number, inFlight: number, nowMs: number): boolean {
    for (const fallback of FALLBACKS) {
      if (timeouts !== fallback.timeouts || this.mss <= fallback.mss || inFlight <= fallback.mss) continue;
      this.#fall(fallback.mss);
      // Perhaps the guest only stood still: the first probe is of the full size.
      this.#tooLong = this.#ceiling + 1;
      this.#nextProbeMs = nowMs + PROBE_INTERVAL_MS;
      return true;
    }
    return false;
  }

  /** Bytes that a probe should have which is due now, 0 for none. It may have fewer, if more than `mss`. */
  probeDue(nowMs: number): number {
    if (this.mss === this.#ceiling || this.#probeBytes > 0 || nowMs < this.#nextProbeMs) return 0;
    if (this.#toldMss > this.mss) return this.#toldMss;
    if (this.#tooLong - this.mss <= SEARCH_STEP_BYTES) this.#tooLong = this.#ceiling + 1;
    if (this.#tooLong > this.#ceiling) return this.#ceiling;
    if (ETHERNET_MSS > this.mss && ETHERNET_MSS < this.#tooLong) return ETHERNET_MSS;
    return (this.mss + this.#tooLong) >> 1;
  }

  /** A segment of `bytes`, [start, end), is on its way as a probe. */
  probing(bytes: number, start: number, end: number): void {
    this.#probeBytes = bytes;
    this.#probeStart = start;
    this.#probeEnd = end;
  }

  /** sndUna moved: a probe that arrived raises the size. */
  acknowledged(sndUna: number, nowMs: number): void {
    if (this.#probeBytes === 0 || !seqGte(sndUna, this.#probeEnd)) return;
    this.mss = this.#probeBytes;
    this.#settle(nowMs);
  }

  /**
   * What begins at `sndUna` is lost. True when it is the probe, which says nothing about congestion (RFC 4821 §7.6.2).
   */
  lost(sndUna: number, nowMs: number): boolean {
    if (this.#probeBytes === 0) return false;
    const failed = sndUna === this.#probeStart;
    if (failed) {
      this.#tooLong = this.#probeBytes;
      this.#toldMss = 0;
    }
    this.#settle(nowMs);
    return failed;
  }

  #fall(mss: number): void {
    this.mss = mss;
    this.#probeBytes = 0;
    this.#toldMss = 0;
  }

  #settle(nowMs: number): void {
    this.#probeBytes = 0;
    const found = this.#tooLong - this.mss <= SEARCH_STEP_BYTES;
    this.#nextProbeMs = nowMs + (found ? RAISE_MS : PROBE_INTERVAL_MS);
  }
}
