import type { Counters } from '../../../env/counters.ts';
import { DNS_NOERROR, DNS_NXDOMAIN, DNS_SERVFAIL } from '../../../wire/dns-message.ts';
import type { DnsQuery } from '../dns-query.ts';
import { OpenTrace } from '../lookup-trace.ts';
import { EDE_NO_REACHABLE_AUTHORITY } from '../protocol.ts';
import { type DnsTimers, GIVE_UP_MS } from '../upstream/timers.ts';
import { answerKey } from './answer-cache.ts';
import { authored } from './authored-answer.ts';
import type { Cache } from './cache.ts';
import type { Answer, Ask, Source } from './source.ts';

/** RFC 8767 §5, the client response timer: an asker hears an old answer before it loses patience. */
const STALE_AFTER_MS = 1800;
/** How often a question is repeated because the host's network changed while nobody answered. */
const ASK_AGAIN = 2;
/** At once, as no guest's limit counts them. Enough to check each name in use within seconds. */
const MAX_RECHECKS = 256;

interface OneAskingOptions {
  readonly cache: Cache;
  readonly timers: DnsTimers;
  readonly counters: Counters;
}

/** A question in progress. */
interface Asked {
  readonly query: DnsQuery;
  /** The cache's, when it was asked. */
  readonly generation: number;
  readonly key: string;
  readonly rest: Ask;
}

/**
 * Asks the sources after it, once for all who ask the same, and keeps their answer.
 *
 * An answer that has not come after 1.8 s, or is a failure, is replaced by an old one if there is one (RFC 8767), which
 * for the next 30 s goes out at once; after 4.5 s without either the answer is SERVFAIL. An answer that comes later is
 * still kept. When the host's network changes (the cache's generation), a question in progress is not shared with
 * askers that come after the change.
 */
export class OneAsking implements Source {
  readonly #options: OneAskingOptions;
  readonly #asking = new Map<string, Promise<Answer>>();
  #rechecks = 0;

  constructor(options: OneAskingOptions) {
    this.#options = options;
  }

  answer(query: DnsQuery, rest: Ask): Answer | Promise<Answer> {
    const { cache, counters } = this.#options;
    const { generation } = cache;
    // A question without RD has another answer, perhaps a referral.
    const { recursionDesired } = query.question;
    const key = `${generation} ${recursionDesired ? '' : 'rd0 '}${answerKey(query)}`;
    const asked = { query, generation, key, rest };
    const asking = this.#asking.get(key);
    // Who wants to know why waits.
    const atOnce = recursionDesired && query.trace === undefined ? cache.staleAtOnce(query, generation) : undefined;
    if (atOnce !== undefined) {
      if (asking === undefined) this.#recheck(asked);
      return atOnce;
    }
    if (asking === undefined) return ownCopy(this.#ask(asked));
    counters.add('dns-joined');
    query.trace?.step({ kind: 'cache', outcome: 'joined' });
    return ownCopy(asking);
  }

  /**
   * Settles when somebody answers, or when an old answer or SERVFAIL is due. Rejects only by a defect. It is shared
   * until the other sources have settled: later askers get an old answer that already went out at once.
   */
  #ask(asked: Asked): Promise<Answer> {
    const { cache, timers } = this.#options;
    const { query, key, generation } = asked;
    const trace = query.trace === undefined ? undefined : new OpenTrace(query.trace);
    const stale = (): Answer | undefined => {
      const answer = cache.stale(query, generation);
      if (answer !== undefined) trace?.step({ kind: 'cache', outcome: 'stale' });
      return answer;
    };
    const asking = new Promise<Answer>((resolve, reject) => {
      const end = (): void => {
        staleDue.cancel();
        deadline.cancel();
        if (this.#asking.get(key) === asking) this.#asking.delete(key);
      };
      const staleDue = timers.after(STALE_AFTER_MS, () => {
        const answer = stale();
        if (answer === undefined) return;
        cache.worldIsSlow(query);
        resolve(answer);
      });
      const deadline = timers.after(GIVE_UP_MS, () => {
        end();
        resolve(stale() ?? this.#late(query));
      });
      this.#askRest({ ...asked, query: { ...query, trace } })
        .then((answer) => resolve(failed(answer) ? (stale() ?? answer) : answer))
        .catch(reject)
        .finally(end);
    }).finally(() => trace?.close());
    this.#asking.set(key, asking);
    return asking;
  }

  /** Returns their answer and keeps it. Asks again after a failure during which the network changed. */
  async #askRest({ query, generation, rest }: Asked): Promise<Answer> {
    const { cache } = this.#options;
    let current = generation;
    for (let again = 0; ; again++) {
      const answer = await rest(query);
      const now = cache.generation;
      if (failed(answer) && now !== current && again < ASK_AGAIN) {
        current = now;
        continue;
      }
      if (query.question.recursionDesired && !failed(answer)) cache.keep(query, current, answer);
      return answer;
    }
  }

  /** Asks although the asker already has an answer, so that the next question shows that the silence is over. */
  #recheck(asked: Asked): void {
    const { counters } = this.#options;
    if (this.#rechecks >= MAX_RECHECKS) {
      counters.add('dns-recheck-limit');
      return;
    }
    this.#rechecks++;
    this.#ask(asked)
      .catch(() => counters.add('dns-defect'))
      .finally(() => this.#rechecks--);
  }

  #late(query: DnsQuery): Answer {
    this.#options.counters.add('dns-late');
    const why = 'nobody answered in time';
    const extendedError = { code: EDE_NO_REACHABLE_AUTHORITY, text: why };
    return authored(query, { rcode: DNS_SERVFAIL, extendedError }, { source: 'slipway', why });
  }
}

/** Each asker owns its message. */
async function ownCopy(asking: Promise<Answer>): Promise<Answer> {
  const answer = await asking;
  return { ...answer, message: answer.message.slice() };
}

/** What RFC 8767 §4 calls no answer: an old one is better. */
function failed({ rcode }: Answer): boolean {
  return rcode !== DNS_NOERROR && rcode !== DNS_NXDOMAIN;
}
