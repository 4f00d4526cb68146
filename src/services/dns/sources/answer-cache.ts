import type { Clock } from '../../../env/clock.ts';
import { readU16, readU32, writeU16, writeU32 } from '../../../wire/bytes.ts';
import { appendOpt, DNS_OPT_BYTES, DNS_OWN_UDP_BYTES } from '../../../wire/dns-edns.ts';
import { DNS_AA, DNS_NXDOMAIN } from '../../../wire/dns-message.ts';
import type { DnsQuery } from '../dns-query.ts';
import { EDE_STALE_ANSWER, EDE_STALE_NXDOMAIN_ANSWER } from '../protocol.ts';
import { type AnswerLife, answerLife } from './answer-life.ts';

/** RFC 8767 §4 recommends 30 s for data that is past its life. */
const STALE_TTL_SECONDS = 30;
/** RFC 8767 §5, the failure recheck timer: how long nobody waits again for servers that did not answer in time. */
const SLOW_MS = 30_000;
/** How long answers from the previous network may be used when nobody answers on the new one. */
const FORMER_GENERATION_MS = 60_000;
/**
 * How many generations are remembered: one big change (a VPN comes up) is many small ones. Answers of older ones are
 * gone.
 */
const FORMER_GENERATIONS = 64;
/** What an entry costs besides message, key and offsets: two objects, a slot of the table, two buffers. */
const ENTRY_BYTES = 400;

/** The option that says that an answer is old, with its text. */
const STALE_OPTION_BYTES = 64;
/** Offset of ARCOUNT in the header. */
const ADDITIONAL_COUNT_AT = 10;

export interface AnswerCacheOptions {
  /** 0 keeps nothing. */
  readonly entries: number;
  readonly bytes: number;
  /** How long after its end an answer may stand in when nobody answers (RFC 8767). */
  readonly staleSeconds: number;
  readonly clock: Clock;
}

/** An answer as it is kept. */
interface KeptAnswer {
  readonly key: string;
  readonly message: Uint8Array;
  readonly life: AnswerLife;
  readonly storedMs: number;
  readonly expiresMs: number;
  readonly generation: number;
}

/** One answer, a link of the ring from the least to the most recently used. */
class Entry {
  readonly answer: KeptAnswer;
  readonly bytes: number;
  /** Until then nobody waits for the nameservers. */
  slowUntilMs = 0;
  older: Entry = this;
  newer: Entry = this;

  constructor(answer: KeptAnswer) {
    this.answer = answer;
    const { key, message, life } = answer;
    this.bytes = message.length + 2 * key.length + life.ttlAt.byteLength + ENTRY_BYTES;
  }
}

/** Placeholder of the ring's seam. */
const NO_ANSWER: KeptAnswer = {
  key: '',
  message: new Uint8Array(0),
  life: answerLife(new Uint8Array(0)),
  storedMs: 0,
  expiresMs: 0,
  generation: 0,
};

/**
 * Whole answers by their question. A hit is one copy of the message with its TTLs counted down at offsets that were
 * found when it was stored; no record is walked.
 *
 * A generation is one state of the host's network. When it changes, everything kept is former: it may be wrong now
 * (split DNS), so it only stands in when nobody answers, and only for a minute. An answer that has expired is used in
 * the same way, for `staleSeconds` (RFC 8767). The least recently used go when entries or bytes are too many.
 */
export class AnswerCache {
  readonly #options: AnswerCacheOptions;
  readonly #entries = new Map<string, Entry>();
  /** The ring's seam: its `newer` is the oldest entry, its `older` the newest. */
  readonly #seam = new Entry(NO_ANSWER);
  /** When each former generation ended, oldest first. */
  readonly #endedMs = new Map<number, number>();
  #generation = 0;
  #bytes = 0;

  constructor(options: AnswerCacheOptions) {
    this.#options = options;
  }

  get entries(): number {
    return this.#entries.size;
  }

  /** What it all costs, about. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * A copy of the answer, TTLs counted down; undefined when there is none that is alive and of `generation`. The
   * generation only rises; the cache learns of a change by this call and the others.
   */
  lookup(key: string, generation: number): Uint8Array | undefined {
    this.#enter(generation);
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.answer.generation !== generation) return undefined;
    const nowMs = this.#options.clock.nowMs();
    if (nowMs >= entry.answer.expiresMs) return undefined;
    this.#touch(entry);
    const message = entry.answer.message.slice();
    const ageSeconds = Math.floor((nowMs - entry.answer.storedMs) / 1000);
    const { ttlAt } = entry.answer.life;
    // The life is the smallest TTL of all, so none goes below 1.
    if (ageSeconds > 0) for (const at of ttlAt) writeU32(message, at, readU32(message, at) - ageSeconds);
    return message;
  }

  /** Seconds that are left of an answer's life; 0 for none. */
  secondsLeft(key: string): number {
    const entry = this.#entries.get(key);
    return entry === undefined
      ? 0
      : Math.max(0, Math.ceil((entry.answer.expiresMs - this.#options.clock.nowMs()) / 1000));
  }

  /**
   * For when nobody answers: a copy of what was once the answer, with TTLs of 30 s and an extended error that says so.
   */
  stale(key: string, generation: number): Uint8Array | undefined {
    this.#enter(generation);
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (this.#options.clock.nowMs() >= this.#staleUntilMs(entry)) {
      this.#remove(entry);
      return undefined;
    }
    this.#touch(entry);
    return staleCopy(entry.answer);
  }

  /** The nameservers did not answer in time, and an old answer was used: for 30 s it is used at once. */
  worldIsSlow(key: string): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) entry.slowUntilMs = this.#options.clock.nowMs() + SLOW_MS;
  }

  /**
   * Like `stale`, but only in the time after `worldIsSlow`, and only what was learned in `generation`: another network
   * may answer.
   */
  staleAtOnce(key: string, generation: number): Uint8Array | undefined {
    this.#enter(generation);
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.answer.generation !== generation) return undefined;
    return this.#options.clock.nowMs() < entry.slowUntilMs ? this.stale(key, generation) : undefined;
  }

  /**
   * Keeps a copy of an answer that was asked for in `generation`; one that is no longer current makes it former at
   * once. `lifeSeconds`: of an answer whose records do not tell; otherwise its TTLs do (RFC 2308 §5 for negative ones),
   * and what they do not allow is not kept.
   */
  store(key: string, generation: number, message: Uint8Array, lifeSeconds?: number): void {
    this.#enter(Math.max(generation, this.#generation));
    const life = answerLife(message);
    const seconds = lifeSeconds === undefined ? life.seconds : Math.min(lifeSeconds, life.ttlSeconds);
    if (seconds <= 0 || this.#options.entries < 1) return;
    const kept = this.#entries.get(key);
    // A late answer of the former network does not replace one of this.
    if (kept !== undefined && kept.answer.generation > generation) return;
    const copy = message.slice();
    // Not the owner's own word any more (RFC 1035 §4.1.1).
    copy[2] = copy[2]! & ~(DNS_AA >>> 8);
    const storedMs = this.#options.clock.nowMs();
    const expiresMs = storedMs + seconds * 1000;
    const entry = new Entry({ key, message: copy, life, storedMs, expiresMs, generation });
    if (entry.bytes > this.#options.bytes) return;
    if (kept !== undefined) this.#remove(kept);
    this.#link(entry);
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes;
    while (this.#entries.size > this.#options.entries || this.#bytes > this.#options.bytes) {
      this.#remove(this.#seam.newer);
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.#entries.clear();
    this.#seam.older = this.#seam;
    this.#seam.newer = this.#seam;
    this.#bytes = 0;
  }

  #enter(generation: number): void {
    if (generation <= this.#generation) return;
    this.#endedMs.set(this.#generation, this.#options.clock.nowMs());
    this.#generation = generation;
    if (this.#endedMs.size <= FORMER_GENERATIONS) return;
    for (const oldest of this.#endedMs.keys()) {
      this.#endedMs.delete(oldest);
      return;
    }
  }

  #staleUntilMs(entry: Entry): number {
    const untilMs = entry.answer.expiresMs + this.#options.staleSeconds * 1000;
    if (entry.answer.generation === this.#generation) return untilMs;
    const endedMs = this.#endedMs.get(entry.answer.generation) ?? Number.NEGATIVE_INFINITY;
    return Math.min(untilMs, endedMs + FORMER_GENERATION_MS);
  }

  #touch(entry: Entry): void {
    if (entry.newer === this.#seam) return;
    entry.older.newer = entry.newer;
    entry.newer.older = entry.older;
    this.#link(entry);
  }

  /** Makes it the newest. */
  #link(entry: Entry): void {
    entry.older = this.#seam.older;
    entry.newer = this.#seam;
    entry.older.newer = entry;
    this.#seam.older = entry;
  }

  #remove(entry: Entry): void {
    entry.older.newer = entry.newer;
    entry.newer.older = entry.older;
    this.#entries.delete(entry.answer.key);
    this.#bytes -= entry.bytes;
  }
}

/** The key of an answer: with DO or CD set, the same name and type may have another one. */
export function answerKey(query: DnsQuery): string {
  return `${query.name} ${query.question.type}${query.dnssecOk ? 'd' : ''}${query.checkingDisabled ? 'c' : ''}`;
}

function staleCopy({ message, life }: KeptAnswer): Uint8Array {
  const { endAt, optAt, ttlAt, rcode } = life;
  const keptBytes = optAt < 0 ? endAt : optAt;
  const copy = new Uint8Array(keptBytes + DNS_OPT_BYTES + STALE_OPTION_BYTES);
  copy.set(message.subarray(0, keptBytes));
  for (const at of ttlAt) writeU32(copy, at, STALE_TTL_SECONDS);
  // There may be one OPT record only, and one with others behind it stays, as those may point to each other.
  if (optAt < 0) return copy.slice(0, keptBytes);
  // One at the end makes room for the one that says what this is.
  if (optAt < endAt) writeU16(copy, ADDITIONAL_COUNT_AT, readU16(copy, ADDITIONAL_COUNT_AT) - 1);
  const length = appendOpt(copy, optAt, {
    udpBytes: DNS_OWN_UDP_BYTES,
    extendedRcode: 0,
    dnssecOk: false,
    extendedError: {
      code: rcode === DNS_NXDOMAIN ? EDE_STALE_NXDOMAIN_ANSWER : EDE_STALE_ANSWER,
      text: 'nobody answers; this is an older answer',
    },
  });
  return copy.slice(0, length);
}
