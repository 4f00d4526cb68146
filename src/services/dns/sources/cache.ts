import type { DnsCacheConfig } from '../../../config/dns.ts';
import type { Counters } from '../../../env/counters.ts';
import type { DnsQuery } from '../dns-query.ts';
import type { TraceStep } from '../lookup-trace.ts';
import type { DnsTimers } from '../upstream/timers.ts';
import { AnswerCache, answerKey } from './answer-cache.ts';
import type { Answer, Source } from './source.ts';

const BYTES_PER_MEGABYTE = 1_048_576;

export interface CacheOptions {
  readonly cache: DnsCacheConfig;
  /** `generation` rises whenever what the host resolves may have changed (`SystemConfigWatch`). */
  readonly system: { readonly generation: number };
  readonly timers: DnsTimers;
  readonly counters: Counters;
}

/** Answers that the sources after it gave before, while they live. `OneAsking` keeps them here. */
export class Cache implements Source {
  readonly passed: TraceStep = { kind: 'cache', outcome: 'miss' };
  readonly #options: CacheOptions;
  readonly #answers: AnswerCache;
  #flushes = 0;

  constructor(options: CacheOptions) {
    this.#options = options;
    const { entries, megabytes, staleSeconds } = options.cache;
    const bytes = megabytes * BYTES_PER_MEGABYTE;
    this.#answers = new AnswerCache({ entries, bytes, staleSeconds, clock: options.timers });
  }

  /** What it holds: entries, and about how many bytes. */
  get kept(): { readonly entries: number; readonly bytes: number } {
    return { entries: this.#answers.entries, bytes: this.#answers.bytes };
  }

  /**
   * What was learned in an earlier generation may be wrong now. Network and flushes only rise, so their sum changes
   * with either.
   */
  get generation(): number {
    return this.#options.system.generation + this.#flushes;
  }

  /** Forgets all answers; what is on its way is not kept as current either. */
  flush(): void {
    this.#flushes++;
    this.#answers.clear();
  }

  answer(query: DnsQuery): Answer | undefined {
    const key = answerKey(query);
    const message = this.#answers.lookup(key, this.generation);
    if (message === undefined) return undefined;
    this.#options.counters.add('dns-cache-hit');
    query.trace?.step({ kind: 'cache', outcome: 'hit', ttlSeconds: this.#answers.secondsLeft(key) });
    return { message, rcode: rcodeOf(message), source: 'cache', why: 'the cache still has it' };
  }

  /** Keeps an answer that was asked for in `generation`. */
  keep(query: DnsQuery, generation: number, { message, lifeSeconds }: Answer): void {
    this.#answers.store(answerKey(query), generation, message, lifeSeconds);
  }

  /** An old answer, for when nobody answers (RFC 8767). */
  stale(query: DnsQuery, generation: number): Answer | undefined {
    return this.#old(this.#answers.stale(answerKey(query), generation));
  }

  /** The same, but only while the nameservers are known to be slow. */
  staleAtOnce(query: DnsQuery, generation: number): Answer | undefined {
    return this.#old(this.#answers.staleAtOnce(answerKey(query), generation));
  }

  /** Nobody answered in time, and an old answer was used: for 30 s it is used at once. */
  worldIsSlow(query: DnsQuery): void {
    this.#answers.worldIsSlow(answerKey(query));
  }

  #old(message: Uint8Array | undefined): Answer | undefined {
    if (message === undefined) return undefined;
    this.#options.counters.add('dns-stale');
    const why = 'nobody answers now, so an older answer is used (RFC 8767)';
    return { message, rcode: rcodeOf(message), source: 'stale-cache', why };
  }
}

/** Of what is kept: NOERROR and NXDOMAIN have no upper bits. */
function rcodeOf(message: Uint8Array): number {
  return message[3]! & 15;
}
