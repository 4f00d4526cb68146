import { DNS_NOERROR, DNS_NXDOMAIN, DNS_SERVFAIL } from '../../../wire/dns-message.ts';
import type { DnsBackend, DnsQuery } from '../dns-query.ts';
import type { LookupTrace, TraceStep } from '../lookup-trace.ts';
import { systemTimers, type Timers } from '../upstream/timers.ts';
import { AnswerCache, answerKey } from './answer-cache.ts';
import { authorAnswer } from './authored-answer.ts';
import { type HostRecord, HostRecords } from './host-records.ts';
import { GIVE_UP_MS, type LiveAnswer, LiveAnswers, type LiveAnswersOptions } from './live-answers.ts';

/** RFC 8767 §5, the client response timer: an asker hears an old answer before it loses patience. */
const STALE_AFTER_MS = 1800;
/** Askings again because the host's network changed while nobody answered; a network that changes faster is none. */
const ASK_AGAIN = 2;
/** At once, as no guest's limit counts them: enough that each name in use is asked for within seconds. */
const MAX_RECHECKS = 256;
const BYTES_PER_MEGABYTE = 1_048_576;

/** "Other Error" and "No Reachable Authority" (RFC 8914 §4.1, §4.23). */
const EDE_OTHER = 0;
const EDE_NO_REACHABLE_AUTHORITY = 22;

export interface SystemServerOptions extends Omit<LiveAnswersOptions, 'timers' | 'system'> {
  readonly hosts: readonly HostRecord[];
  readonly cache: { readonly entries: number; readonly megabytes: number; readonly staleSeconds: number };
  /** `SystemConfigWatch`. `generation` rises whenever what the host resolves may have changed. */
  readonly system: { readonly generation: number; hasIpv6(): boolean };
  /** The process's own unless told. */
  readonly timers?: Timers;
}

/**
 * Answers questions as the host would: configured hosts, then the cache, then the world (`LiveAnswers`).
 *
 * Many askers of one question at once are served by one asking. An answer that has not come after 1.8 s, or is a failure, is
 * replaced by an old one if there is one (RFC 8767), which for the next 30 s goes out at once; after 4.5 s without either the answer is SERVFAIL. An answer that comes
 * later still goes to the cache. When the host's network changes (`generation`), what was learned before only stands in when
 * nobody answers, and a question that is on its way is not shared with who asks after the change.
 */
export class SystemServer implements DnsBackend {
  readonly #options: SystemServerOptions;
  readonly #timers: Timers;
  readonly #hosts: HostRecords;
  readonly #live: LiveAnswers;
  readonly #cache: AnswerCache;
  readonly #asking = new Map<string, Promise<LiveAnswer>>();
  #flushes = 0;
  #rechecks = 0;

  constructor(options: SystemServerOptions) {
    this.#options = options;
    this.#timers = options.timers ?? systemTimers;
    this.#hosts = new HostRecords(options.hosts, options.ttlSeconds);
    this.#live = new LiveAnswers({ ...options, timers: this.#timers });
    const { entries, megabytes, staleSeconds } = options.cache;
    this.#cache = new AnswerCache({
      entries,
      bytes: megabytes * BYTES_PER_MEGABYTE,
      staleSeconds,
      clock: this.#timers,
    });
  }

  /** What the cache holds: entries, and about how many bytes. */
  get kept(): { readonly entries: number; readonly bytes: number } {
    return { entries: this.#cache.entries, bytes: this.#cache.bytes };
  }

  /** The answer if the cache has it, at once; the caller owns it. Never throws. */
  cached(query: DnsQuery): Uint8Array | undefined {
    const message = this.#cache.lookup(answerKey(query), this.#generation());
    if (message !== undefined) this.#options.counters.add('dns-cache-hit');
    return message;
  }

  /** Forgets all answers; what is on its way is not kept as current either. */
  flush(): void {
    this.#flushes++;
    this.#cache.clear();
  }

  async resolve(query: DnsQuery, trace: LookupTrace | undefined): Promise<Uint8Array> {
    try {
      return this.#fromHosts(query, trace) ?? this.#fromCache(query, trace) ?? (await this.#fromWorld(query, trace));
    } catch {
      // A defect costs the one answer, never the process.
      this.#options.counters.add('dns-defect');
      const why = 'a defect of Slipway';
      trace?.step({ kind: 'answer', source: 'slipway', rcode: DNS_SERVFAIL, why });
      return authorAnswer(query, { rcode: DNS_SERVFAIL, extendedError: { code: EDE_OTHER, text: why } });
    }
  }

  #fromHosts(query: DnsQuery, trace: LookupTrace | undefined): Uint8Array | undefined {
    const message = this.#hosts.answer(query);
    if (message === undefined) return undefined;
    trace?.step({ kind: 'answer', source: 'host-record', rcode: DNS_NOERROR, why: 'dns.hosts of the configuration' });
    return message;
  }

  #fromCache(query: DnsQuery, trace: LookupTrace | undefined): Uint8Array | undefined {
    const message = this.cached(query);
    if (trace === undefined) return message;
    if (message === undefined) {
      trace.step({ kind: 'cache', outcome: 'miss' });
      return undefined;
    }
    trace.step({ kind: 'cache', outcome: 'hit', ttlSeconds: this.#cache.secondsLeft(answerKey(query)) });
    trace.step({ kind: 'answer', source: 'cache', rcode: rcodeOf(message), why: 'the cache still has it' });
    return message;
  }

  async #fromWorld(query: DnsQuery, trace: LookupTrace | undefined): Promise<Uint8Array> {
    const generation = this.#generation();
    // A question without RD has another answer, perhaps a referral.
    const key = `${generation} ${query.question.recursionDesired ? '' : 'rd0 '}${answerKey(query)}`;
    let asking = this.#asking.get(key);
    // Who wants to know why waits.
    const atOnce = trace === undefined ? this.#staleAtOnce(query, generation) : undefined;
    if (atOnce !== undefined) {
      if (asking === undefined) this.#recheck(query, key, generation);
      return atOnce;
    }
    if (asking === undefined) {
      asking = this.#ask(query, key, generation, trace);
    } else {
      this.#options.counters.add('dns-joined');
      trace?.step({ kind: 'cache', outcome: 'joined' });
    }
    const { message, source, rcode, why } = await asking;
    trace?.step({ kind: 'answer', source, rcode, why });
    // Each asker owns its copy.
    return message.slice();
  }

  /**
   * Settles when somebody answers, or when an old answer or SERVFAIL is due. Rejects only by a defect. It is shared until the
   * world has settled: who asks when an old answer went out already has it at once.
   */
  #ask(query: DnsQuery, key: string, generation: number, trace: LookupTrace | undefined): Promise<LiveAnswer> {
    const open = trace === undefined ? undefined : new OpenTrace(trace);
    const stale = (): LiveAnswer | undefined => this.#stale(query, generation, open);
    const asking = new Promise<LiveAnswer>((resolve, reject) => {
      const end = (): void => {
        staleDue.cancel();
        deadline.cancel();
        if (this.#asking.get(key) === asking) this.#asking.delete(key);
      };
      const staleDue = this.#timers.after(STALE_AFTER_MS, () => {
        const answer = stale();
        if (answer === undefined) return;
        this.#cache.worldIsSlow(answerKey(query));
        resolve(answer);
      });
      const deadline = this.#timers.after(GIVE_UP_MS, () => {
        end();
        resolve(stale() ?? this.#late(query));
      });
      this.#askWorld(query, generation, open)
        .then((answer) => resolve(failed(answer) ? (stale() ?? answer) : answer))
        .catch(reject)
        .finally(end);
    }).finally(() => open?.close());
    this.#asking.set(key, asking);
    return asking;
  }

  /** The world's answer, kept. A failure that came while the network changed says nothing of the new one, which is asked too. */
  async #askWorld(query: DnsQuery, generation: number, trace: LookupTrace | undefined): Promise<LiveAnswer> {
    for (let again = 0; ; again++) {
      const answer = await this.#live.ask(query, trace);
      const now = this.#generation();
      if (failed(answer) && now !== generation && again < ASK_AGAIN) {
        generation = now;
        continue;
      }
      if (query.question.recursionDesired && !failed(answer)) {
        this.#cache.store(answerKey(query), generation, answer.message, answer.lifeSeconds);
      }
      return answer;
    }
  }

  #stale(query: DnsQuery, generation: number, trace: LookupTrace | undefined): LiveAnswer | undefined {
    const message = this.#cache.stale(answerKey(query), generation);
    if (message === undefined) return undefined;
    this.#options.counters.add('dns-stale');
    trace?.step({ kind: 'cache', outcome: 'stale' });
    const why = 'nobody answers now; this is an older answer (RFC 8767)';
    return { message, rcode: rcodeOf(message), source: 'stale-cache', why, lifeSeconds: 0 };
  }

  #staleAtOnce(query: DnsQuery, generation: number): Uint8Array | undefined {
    if (!query.question.recursionDesired) return undefined;
    const message = this.#cache.staleAtOnce(answerKey(query), generation);
    if (message !== undefined) this.#options.counters.add('dns-stale');
    return message;
  }

  /** Asks although the asker has its answer, so that the end of the silence shows with the next question. */
  #recheck(query: DnsQuery, key: string, generation: number): void {
    const { counters } = this.#options;
    if (this.#rechecks >= MAX_RECHECKS) {
      counters.add('dns-recheck-limit');
      return;
    }
    this.#rechecks++;
    this.#ask(query, key, generation, undefined)
      .catch(() => counters.add('dns-defect'))
      .finally(() => this.#rechecks--);
  }

  #late(query: DnsQuery): LiveAnswer {
    this.#options.counters.add('dns-late');
    const why = 'nobody answered in time';
    const extendedError = { code: EDE_NO_REACHABLE_AUTHORITY, text: why };
    const message = authorAnswer(query, { rcode: DNS_SERVFAIL, extendedError });
    return { message, rcode: DNS_SERVFAIL, source: 'slipway', why, lifeSeconds: 0 };
  }

  /** Both only rise, so their sum changes with either. */
  #generation(): number {
    return this.#options.system.generation + this.#flushes;
  }
}

/** What RFC 8767 §4 calls no answer: an old one is better. */
function failed({ rcode }: LiveAnswer): boolean {
  return rcode !== DNS_NOERROR && rcode !== DNS_NXDOMAIN;
}

/** Of what is kept: NOERROR and NXDOMAIN have no upper bits. */
function rcodeOf(message: Uint8Array): number {
  return message[3]! & 15;
}

/** Steps until the answer; what comes to light later explains nothing. */
class OpenTrace implements LookupTrace {
  #trace: LookupTrace | undefined;

  constructor(trace: LookupTrace) {
    this.#trace = trace;
  }

  step(step: TraceStep): void {
    this.#trace?.step(step);
  }

  close(): void {
    this.#trace = undefined;
  }
}
