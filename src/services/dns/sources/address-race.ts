import type { LookupTrace, TraceStep } from '../lookup-trace.ts';
import { type DnsTimer, type DnsTimers, GIVE_UP_MS } from '../upstream/timers.ts';
import { type AddressDecision, decideAddresses, type HostOutcome, type RawOutcome } from './address-decision.ts';
import type { AddressFamily, HostAnswer, HostLookup } from './host-resolver.ts';

/**
 * How long the operating system may take after the nameserver has answered: mDNS and dead second servers take longer.
 */
const HOST_AFTER_RAW_MS = 1000;
/**
 * How long the nameserver may take after the operating system has answered with addresses. Both asked the same servers
 * at the same moment, so a nameserver that answers at all has answered by then; names of the hosts file must not wait
 * for dead ones.
 */
const RAW_AFTER_HOST_MS = 250;
/** The same for an asker whom only the nameserver's message serves: time for one more try over the network. */
const WANTED_RAW_AFTER_HOST_MS = 2000;

interface AddressRaceOptions {
  readonly family: AddressFamily;
  /** Of both families. */
  readonly lookup: HostLookup;
  /** Rejects only by a defect, which is passed on. */
  readonly raw: Promise<RawOutcome>;
  /** The asker set DO or CD. */
  readonly wantsRaw: boolean;
  readonly timers: DnsTimers;
  readonly trace: LookupTrace | undefined;
}

/** Waits for the operating system and the nameservers, for each no longer than it can still matter, and decides. */
export function raceForAddresses(options: AddressRaceOptions): Promise<AddressDecision> {
  return new Promise((resolve, reject) => new AddressRace(options, resolve).run().catch(reject));
}

class AddressRace {
  readonly #options: AddressRaceOptions;
  readonly #resolve: (decision: AddressDecision) => void;
  readonly #startMs: number;
  #host: HostOutcome | undefined;
  #raw: RawOutcome | undefined;
  /** Runs while one has answered and the other has not. */
  #grace: DnsTimer | undefined;
  #deadline: DnsTimer | undefined;
  #decided = false;

  constructor(options: AddressRaceOptions, resolve: (decision: AddressDecision) => void) {
    this.#options = options;
    this.#resolve = resolve;
    this.#startMs = options.timers.nowMs();
  }

  async run(): Promise<void> {
    const { timers, lookup, raw } = this.#options;
    this.#deadline = timers.after(GIVE_UP_MS, () => this.#decideLate(this.#raw ?? 'late'));
    await Promise.all([
      lookup.answer.then((answer) => this.#hostSays(answer)),
      raw.then((outcome) => this.#rawSays(outcome)),
    ]);
  }

  #hostSays(answer: HostAnswer): void {
    if (this.#decided) return;
    const host = ofFamily(answer, this.#options.family);
    this.#host = host;
    this.#traceHost(host);
    if (this.#raw !== undefined) this.#decide(host, this.#raw);
    else if (typeof host !== 'string') {
      const graceMs = this.#options.wantsRaw ? WANTED_RAW_AFTER_HOST_MS : RAW_AFTER_HOST_MS;
      this.#grace = this.#options.timers.after(graceMs, () => this.#decide(host, 'late'));
    }
  }

  #rawSays(raw: RawOutcome): void {
    if (this.#decided) return;
    this.#raw = raw;
    const answered = typeof raw !== 'string';
    if (answered) this.#options.lookup.nameIsAlive();
    if (this.#host !== undefined) this.#decide(this.#host, raw);
    else if (answered && this.#options.wantsRaw) this.#decide('not-in-time', raw);
    else if (answered) {
      this.#grace = this.#options.timers.after(HOST_AFTER_RAW_MS, () => this.#decideLate(raw));
    }
  }

  #decideLate(raw: RawOutcome): void {
    if (this.#host === undefined) this.#traceHost('not-in-time');
    this.#decide(this.#host ?? 'not-in-time', raw);
  }

  #decide(host: HostOutcome, raw: RawOutcome): void {
    if (this.#decided) return;
    this.#decided = true;
    this.#grace?.cancel();
    this.#deadline?.cancel();
    this.#options.lookup.abort();
    this.#resolve(decideAddresses(host, raw, this.#options.wantsRaw));
  }

  #traceHost(host: HostOutcome): void {
    const { trace, family, timers } = this.#options;
    trace?.step(hostStep(family, host, timers.nowMs() - this.#startMs));
  }
}

/** Of both families the addresses of one: none where the name has only the other. */
export function ofFamily(answer: HostAnswer, family: AddressFamily): HostAnswer {
  return typeof answer === 'string' ? answer : answer.filter((address) => address.includes(':') === (family === 6));
}

/** The step of a trace that tells what the operating system said. */
export function hostStep(family: AddressFamily, host: HostOutcome, ms: number): TraceStep {
  const step = { kind: 'operating-system', family, ms } as const;
  if (typeof host !== 'string') return { ...step, outcome: 'addresses', addresses: host };
  if (host === 'no-address') return { ...step, outcome: 'addresses', addresses: [] };
  const outcome = host === 'busy' ? 'not-in-time' : host;
  return { ...step, outcome, addresses: [] };
}
