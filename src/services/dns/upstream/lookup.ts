/**
 * One question on its way through the nameservers.
 *
 * The first server is asked; when it has not answered after 800 ms, the next one too, and so on, round and round. All
 * are listened to until the end, and the first NOERROR or NXDOMAIN is the answer. A server that fails or answers
 * anything else lets the next one be asked at once; such an answer is kept for the case that nobody does better, and
 * that server is not asked again. A server that has been silent lately is asked together with the next one.
 *
 * The servers are listed again at each attempt: when resolv.conf changes under way, the new ones are asked.
 *
 * DnsTimers: one, 800 ms after each attempt; 4.5 s in all, less than the 5 s after which a client gives up.
 */
import type { Counters } from '../../../env/counters.ts';
import { DNS_NOERROR, DNS_NXDOMAIN } from '../../../wire/dns-message.ts';
import { Exchange, type ServerAnswer } from './exchange.ts';
import type { OwnQuery } from './request.ts';
import { type DnsTimer, type DnsTimers, GIVE_UP_MS } from './timers.ts';
import type { UpstreamServer } from './upstream-server.ts';

const PATIENCE_MS = 800;
/** A file that is being written is empty for a moment. */
const EMPTY_LIST_MS = 100;
/** For a server that cannot be reached, or when there is a kept answer. Otherwise the budget is the bound: six. */
const ATTEMPTS = 2;

interface LookupOptions {
  readonly query: OwnQuery;
  /** The nameservers to ask now, in order. */
  readonly servers: () => readonly UpstreamServer[];
  readonly timers: DnsTimers;
  readonly counters: Counters;
  /** Called once. */
  readonly settle: (result: { readonly message: Uint8Array } | 'no-answer' | 'no-nameservers') => void;
}

/** What this lookup knows of one server. */
interface Standing {
  readonly server: UpstreamServer;
  readonly exchanges: Exchange[];
  attempts: number;
  waiting: number;
  /** It answered, but not well: asking again would change nothing. */
  answered: boolean;
  /** It could not be reached: to be asked again, but not at once. */
  failed: boolean;
}

export class Lookup {
  readonly #options: LookupOptions;
  readonly #startMs: number;
  readonly #standings: Standing[] = [];
  #kept: ServerAnswer | undefined;
  #timer: DnsTimer | undefined;
  #over = false;

  constructor(options: LookupOptions) {
    this.#options = options;
    this.#startMs = options.timers.nowMs();
  }

  start(): void {
    if (this.#options.servers().length > 0) this.#ticked();
    else this.#timer = this.#options.timers.after(EMPTY_LIST_MS, () => this.#lookedAgain());
  }

  #lookedAgain(): void {
    if (this.#options.servers().length > 0) {
      this.#ticked();
      return;
    }
    this.#options.counters.add('dns-upstream-no-nameservers');
    this.#settle('no-nameservers');
  }

  /** Gives up. */
  close(): void {
    this.#settle('no-answer');
  }

  /** Time for the next attempt. */
  #ticked(): void {
    for (const { exchanges } of this.#standings) for (const exchange of exchanges) exchange.overdue();
    const late = this.#elapsedMs() >= GIVE_UP_MS;
    const hopeless = !late && !this.#ask(true) && (this.#kept !== undefined || !this.#waiting());
    if (late || hopeless) this.#end();
    else this.#arm();
  }

  /** A server failed or answered badly. */
  #fellShort(): void {
    if (this.#ask(false)) this.#arm();
    // Otherwise another attempt waits for its time, or an answer may still come.
    else if (!this.#waiting() && this.#candidates(true).length === 0) this.#end();
  }

  /**
   * Asks the next server, and the one after it too when not much is expected of that one. False: there is nobody to ask
   * now.
   */
  #ask(again: boolean): boolean {
    let asked = false;
    for (const standing of this.#candidates(again)) {
      const hopeful = !standing.server.silent && !standing.failed;
      this.#exchange(standing);
      asked = true;
      if (hopeful) break;
    }
    return asked;
  }

  /** The servers that may be asked now: first those not asked yet, then (`again`) those asked least often. */
  #candidates(again: boolean): readonly Standing[] {
    const standings = [...new Set(this.#options.servers())].map((server) => this.#standing(server));
    const eligible = standings.filter((s) => s.attempts === 0 || (again && this.#mayBeAskedAgain(s)));
    // Sorting is stable: the servers' own order decides among equals.
    return eligible.sort((a, b) => a.attempts - b.attempts);
  }

  #mayBeAskedAgain({ attempts, answered, failed, exchanges }: Standing): boolean {
    if (answered) return false;
    // An answer in hand is worth more than a server that cannot be reached.
    if (failed) return this.#kept === undefined && attempts < ATTEMPTS;
    // Every datagram may be lost: without an answer in hand, the time is used to the end.
    if (this.#kept !== undefined && attempts >= ATTEMPTS) return false;
    return !exchanges.some((exchange) => exchange.heard);
  }

  #standing(server: UpstreamServer): Standing {
    const known = this.#standings.find((standing) => standing.server === server);
    if (known !== undefined) return known;
    const standing = { server, exchanges: [], attempts: 0, waiting: 0, answered: false, failed: false };
    this.#standings.push(standing);
    return standing;
  }

  #exchange(standing: Standing): void {
    const { query, timers } = this.#options;
    standing.attempts++;
    standing.waiting++;
    const end = {
      answered: (answer: ServerAnswer) => {
        standing.waiting--;
        standing.answered = true;
        this.#answered(answer);
      },
      failed: () => {
        standing.waiting--;
        standing.failed = true;
        this.#fellShort();
      },
    };
    standing.exchanges.push(new Exchange({ server: standing.server, query, end, timers }));
  }

  #answered(answer: ServerAnswer): void {
    const { rcode, truncated, broken, message } = answer;
    if (broken) {
      // Nobody can use it; the next server may do better.
      this.#options.counters.add('dns-upstream-broken-message');
      this.#fellShort();
      return;
    }
    if (!truncated && isDecisive(rcode)) {
      this.#settle({ message });
      return;
    }
    if (this.#kept === undefined || rank(answer) > rank(this.#kept)) this.#kept = answer;
    this.#fellShort();
  }

  #waiting(): boolean {
    return this.#standings.some(({ waiting }) => waiting > 0);
  }

  #arm(): void {
    this.#timer?.cancel();
    const leftMs = Math.max(0, GIVE_UP_MS - this.#elapsedMs());
    this.#timer = this.#options.timers.after(Math.min(PATIENCE_MS, leftMs), () => this.#ticked());
  }

  #elapsedMs(): number {
    return this.#options.timers.nowMs() - this.#startMs;
  }

  #end(): void {
    if (this.#kept === undefined) this.#options.counters.add('dns-upstream-no-answer');
    this.#settle(this.#kept === undefined ? 'no-answer' : { message: this.#kept.message });
  }

  #settle(result: Parameters<LookupOptions['settle']>[0]): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.cancel();
    for (const { exchanges } of this.#standings) for (const exchange of exchanges) exchange.abort();
    this.#options.settle(result);
  }
}

function isDecisive(rcode: number): boolean {
  return rcode === DNS_NOERROR || rcode === DNS_NXDOMAIN;
}

/** A part of an answer is better than a refusal. */
function rank({ rcode }: ServerAnswer): number {
  return isDecisive(rcode) ? 1 : 0;
}
