import type { Counters } from '../../../env/counters.ts';
import type { Random } from '../../../env/random.ts';
import type { DnsQuery } from '../dns-query.ts';
import { Lookup } from './lookup.ts';
import type { Nameserver } from '../../../facts/nameserver.ts';
import { OwnQuery } from './request.ts';
import { type DnsTimers, systemTimers } from './timers.ts';
import { UpstreamServer } from './upstream-server.ts';

/** Servers that are remembered. A configuration names few, but a computer that moves between networks meets more. */
const MAX_SERVERS = 256;

/**
 * A nameserver's whole message, or why there is none: nobody answered in 4.5 s, or there is nobody to ask. The
 * message repeats the question; its id is any, its OPT record the nameserver's, and TC is set when the whole could not
 * be had by TCP either.
 */
export type ForwardResult = { readonly message: Uint8Array } | 'no-answer' | 'no-nameservers';

interface ForwarderOptions {
  /** Who 'system' is now (`SystemConfigWatch`). `generation` rises when the host's network changes. */
  readonly system: { readonly generation: number; nameservers(): readonly Nameserver[] };
  readonly counters: Counters;
  /** Ids that nobody can guess (RFC 5452 §9.2). */
  readonly random: Random;
  /** The process's own unless told. */
  readonly timers?: DnsTimers;
}

/** Puts questions to nameservers, each as a query of our own. Bounds are those of its transports. */
export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #timers: DnsTimers;
  /** By address and port, least lately asked first. */
  readonly #servers = new Map<string, UpstreamServer>();
  readonly #lookups = new Set<Lookup>();
  #generation: number;
  #closed = false;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#timers = options.timers ?? systemTimers;
    this.#generation = options.system.generation;
  }

  /** Asks the servers in order until one answers (lookup.ts tells how). Never rejects; settles within 4.5 s. */
  ask(query: DnsQuery, nameservers: readonly Nameserver[] | 'system'): Promise<ForwardResult> {
    if (this.#closed) return Promise.resolve('no-answer');
    return new Promise((resolve) => {
      const lookup = new Lookup({
        query: new OwnQuery(query),
        servers: () => this.#list(nameservers),
        timers: this.#timers,
        counters: this.#options.counters,
        settle: (result) => {
          this.#lookups.delete(lookup);
          resolve(result);
        },
      });
      this.#lookups.add(lookup);
      lookup.start();
    });
  }

  /** Ends everything: all current and later questions get 'no-answer'. */
  close(): void {
    this.#closed = true;
    for (const lookup of this.#lookups) lookup.close();
    for (const server of this.#servers.values()) server.close();
    this.#servers.clear();
  }

  #list(nameservers: readonly Nameserver[] | 'system'): readonly UpstreamServer[] {
    this.#renewAfterChange();
    const list = nameservers === 'system' ? this.#options.system.nameservers() : nameservers;
    return list.map((nameserver) => this.#server(nameserver));
  }

  #renewAfterChange(): void {
    const { generation } = this.#options.system;
    if (generation === this.#generation) return;
    this.#generation = generation;
    for (const server of this.#servers.values()) server.renew();
  }

  #server(nameserver: Nameserver): UpstreamServer {
    const key = `${nameserver.address} ${nameserver.port}`;
    const known = this.#servers.get(key);
    if (known !== undefined) return known;
    const { counters, random } = this.#options;
    const server = new UpstreamServer({ nameserver, counters, random, timers: this.#timers });
    this.#servers.set(key, server);
    this.#forgetOldest();
    return server;
  }

  #forgetOldest(): void {
    if (this.#servers.size <= MAX_SERVERS) return;
    for (const [key, server] of this.#servers) {
      this.#servers.delete(key);
      server.close();
      return;
    }
  }
}
