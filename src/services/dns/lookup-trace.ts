import type { Nameserver } from '../../facts/nameserver.ts';

/** Which source an answer comes from. */
export type SourceName = 'zone' | 'host-record' | 'cache' | 'stale-cache' | 'upstream' | 'operating-system' | 'slipway';

/** One step on the way from a question to its answer, in the order in which they happened. */
export type TraceStep =
  /** Which of the two servers answers, and why ("docker.internal is a zone of ours"). */
  | { readonly kind: 'server'; readonly server: 'internal' | 'system'; readonly why: string }
  /** A per-domain rule chose the nameservers. */
  | { readonly kind: 'rule'; readonly domain: string; readonly nameservers: readonly Nameserver[] }
  | {
      readonly kind: 'cache';
      /** 'joined': the same question was on its way already. */
      readonly outcome: 'hit' | 'miss' | 'joined' | 'stale';
      /** What is left of its life; absent for a miss. */
      readonly ttlSeconds?: number;
    }
  /** The operating system's resolver was asked. */
  | {
      readonly kind: 'operating-system';
      readonly family: 4 | 6;
      readonly outcome: 'addresses' | 'no-such-name' | 'failed' | 'not-in-time';
      readonly addresses: readonly string[];
      readonly ms: number;
    }
  /**
   * One exchange with a nameserver. `outcome`: an rcode as text ("NOERROR"), or what went wrong ("no answer within 1500
   * ms", "ECONNREFUSED").
   */
  | {
      readonly kind: 'upstream';
      readonly nameserver: Nameserver;
      readonly transport: 'udp' | 'tcp';
      readonly outcome: string;
      readonly bytes: number;
      readonly ms: number;
    }
  /** The end. `why` is a sentence for a person. */
  | { readonly kind: 'answer'; readonly source: SourceName; readonly rcode: number; readonly why: string };

/** Collects the steps of one lookup; most lookups have none. */
export interface LookupTrace {
  step(step: TraceStep): void;
}

/** A list of steps, for `slipway dns lookup --explain` and the tests. */
export class RecordedTrace implements LookupTrace {
  readonly steps: TraceStep[] = [];

  step(step: TraceStep): void {
    this.steps.push(step);
  }
}

/** Passes steps on until it is closed: what happens after the answer explains nothing. */
export class OpenTrace implements LookupTrace {
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
