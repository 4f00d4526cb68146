import type { Counters } from '../../../env/counters.ts';
import type { Random } from '../../../env/random.ts';
import type { Nameserver } from './nameserver.ts';
import type { Pending } from './request.ts';
import { TcpTransport } from './tcp-transport.ts';
import type { Timers } from './timers.ts';
import { UdpTransport } from './udp-transport.ts';

/** After so many questions without a word a server is asked together with the next one. */
const SILENCES = 3;
/** How long answers are listened for that only show that a server is alive, and how many at once. */
const LISTEN_ON_MS = 2000;
const MAX_LISTENED = 64;
/** A server without EDNS is asked with it again after this time: it may have been replaced. */
const NO_EDNS_MS = 600_000;

export interface UpstreamServerOptions {
  readonly nameserver: Nameserver;
  readonly counters: Counters;
  readonly random: Random;
  readonly timers: Timers;
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

  get takesEdns(): boolean {
    return this.#options.timers.nowMs() >= this.#noEdnsUntilMs;
  }

  knowsNoEdns(): void {
    this.#options.counters.add('dns-upstream-no-edns');
    this.#noEdnsUntilMs = this.#options.timers.nowMs() + NO_EDNS_MS;
  }

  stayedSilent(): void {
    this.#options.counters.add('dns-upstream-timeout');
    this.#silences++;
  }

  spoke(): void {
    this.#silences = 0;
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

  /** The network changed: old sockets may have a source address that is gone, and a silent server may be reached now. */
  renew(): void {
    this.#silences = 0;
    this.udp.renew();
    this.tcp.renew();
  }

  close(): void {
    this.udp.close();
    this.tcp.close();
  }
}
