import type { Counters } from '../../../env/counters.ts';
import type { Random } from '../../../env/random.ts';
import type { Nameserver } from '../../../facts/nameserver.ts';
import type { Pending } from './request.ts';
import { TcpTransport } from './tcp-transport.ts';
import type { DnsTimers } from './timers.ts';
import { UdpTransport } from './udp-transport.ts';

/** A server that left so many questions unanswered is asked together with the next one. */
const SILENCES = 3;
/** How long answers are listened for that only show that a server is alive, and how many at once. */
const LISTEN_ON_MS = 2000;
const MAX_LISTENED = 64;
/**
 * A server that answered none of so many questions with EDNS is asked without it: some boxes drop such questions
 * silently.
 */
const EDNS_SILENCES = 2;
/**
 * A server must be silent with EDNS and answer without it this often: once may mean that it was down and has just come
 * back.
 */
const EDNS_DROPS = 2;
/** A server without EDNS is asked with it again after this time: it may have been replaced. */
const NO_EDNS_MS = 600_000;

interface UpstreamServerOptions {
  readonly nameserver: Nameserver;
  readonly counters: Counters;
  readonly random: Random;
  readonly timers: DnsTimers;
}

/** One nameserver: the ways to it, and what is known of it. */
export class UpstreamServer {
  readonly nameserver: Nameserver;
  readonly udp: UdpTransport;
  readonly tcp: TcpTransport;
  readonly #options: UpstreamServerOptions;
  #silences = 0;
  #listened = 0;
  #noEdnsUntilMs = Number.NEGATIVE_INFINITY;
  /** It answered a question with EDNS, so it does not drop them. */
  #ednsHeard = false;
  #ednsSilences = 0;
  #ednsDrops = 0;

  constructor(options: UpstreamServerOptions) {
    this.#options = options;
    this.nameserver = options.nameserver;
    this.udp = new UdpTransport(options);
    this.tcp = new TcpTransport(options);
  }

  /** It did not answer lately. */
  get silent(): boolean {
    return this.#silences >= SILENCES;
  }

  /**
   * Whether to ask it with EDNS now. While it never answered that, every other question is asked without (RFC 6891
   * §6.2.2).
   */
  get takesEdns(): boolean {
    if (this.#options.timers.nowMs() < this.#noEdnsUntilMs) return false;
    return this.#ednsHeard || this.#silences < EDNS_SILENCES || this.#silences % 2 === 1;
  }

  knowsNoEdns(): void {
    this.#options.counters.add('dns-upstream-no-edns');
    this.#noEdnsUntilMs = this.#options.timers.nowMs() + NO_EDNS_MS;
  }

  /** `edns`: to a question with EDNS. */
  stayedSilent(edns: boolean): void {
    this.#options.counters.add('dns-upstream-timeout');
    this.#silences++;
    if (edns) this.#ednsSilences++;
  }

  /** `edns`: to a question with EDNS. */
  spoke(edns: boolean): void {
    this.#silences = 0;
    if (edns) this.#ednsHeard = true;
    if (this.#ednsHeard || this.#ednsSilences < EDNS_SILENCES) return;
    this.#ednsSilences = 0;
    this.#ednsDrops++;
    if (this.#ednsDrops >= EDNS_DROPS) this.knowsNoEdns();
  }

  /** Waits for an answer that nobody needs. */
  listenOn(pending: Pending): void {
    if (this.#listened >= MAX_LISTENED) {
      pending.forget();
      return;
    }
    this.#listened++;
    this.#options.timers.after(LISTEN_ON_MS, () => {
      this.#listened--;
      pending.forget();
    });
  }

  /**
   * The network changed: old sockets may have a source address that is gone, and a silent server may be reached now.
   */
  renew(): void {
    this.#silences = 0;
    // Another way may have another box in it.
    this.#ednsHeard = false;
    this.#ednsSilences = 0;
    this.#ednsDrops = 0;
    this.udp.renew();
    this.tcp.renew();
  }

  close(): void {
    this.udp.close();
    this.tcp.close();
  }
}
