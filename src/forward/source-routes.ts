import type { Counters } from '../env/counters.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import type { FlowOpener, OpenedFlow, OpenFailure } from '../tcp/flow-opener.ts';
import type { Tcp } from '../tcp/tcp.ts';
import { Timer } from '../turn/timers.ts';
import type { Turn } from '../turn/turn.ts';
import { isPrivateIpv4 } from '../wire/ipv4.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { SOURCE_PORT_TRIES, type SourceAddresses } from './source-addresses.ts';

/** Prefixes of 256 addresses, over all guests: some kilobytes. The one not used for longest goes. */
const MAX_PREFIXES = 1_024;
/** A guest that does not answer a prefix is asked again after this time: its networks change with its containers. */
const HIDDEN_MS = 10 * 60_000;
/**
 * An answer to a client's own address shows the way for so long; silence after it is the guest's will (a ban, a rate
 * limit).
 */
const PROVED_MS = 60 * 60_000;
/** Nothing was learned: the guest answered nobody. Bounds the questions to three SYNs in that time for each prefix. */
const UNKNOWN_MS = 5_000;
/** The answer to the client's address may be so much later than the one to ours; both SYNs leave together. */
const LATER_MS = 250;
/** Checks under way: three flows each. */
const MAX_CHECKS = 64;
/** Where hardly any firewall has a rule of its own (discard, tcpmux): a closed port's RST shows the way as well. */
const OTHER_PORT = 9;
const OTHER_PORT_IF_THAT = 1;
/** Prefixes of one guest that are shown. */
const MAX_SHOWN = 4;

type Verdict = 'hidden' | 'proved' | 'unknown';

interface Known {
  readonly neighbor: Neighbor;
  readonly prefix: number;
  readonly verdict: Verdict;
  readonly untilMs: number;
}

export interface SourceRoutesOptions {
  readonly turn: Turn;
  readonly counters: Counters;
  readonly tcp: Tcp;
  readonly sources: SourceAddresses;
}

/**
 * Which clients a guest cannot answer under their own address, because it takes that for one of its own networks
 * (docker0, a CNI, a VPN, rp_filter): its answers go there, and the client meets silence. Such clients are shown to it
 * with the host address.
 *
 * Found out when a client goes unanswered: a SYN from the client's address and one from the host address go to the same
 * port, one more from the client's to a port where nothing is, and any answer counts, a refusal too. Only addresses of
 * private networks are doubted, and none that the guest has answered within the hour: silence towards these is what the
 * guest wants (a ban, a rate limit), and must not be got round.
 */
export class SourceRoutes {
  readonly #options: SourceRoutesOptions;
  /** In the order of use. */
  readonly #known = new Map<number, Known>();
  readonly #checks = new Map<number, RouteCheck>();

  constructor(options: SourceRoutesOptions) {
    this.#options = options;
  }

  /** The guest would not answer `client` under that address. */
  hides(neighbor: Neighbor, client: number): boolean {
    return this.#verdict(neighbor, client) === 'hidden';
  }

  /** The guest has answered `client` under its own address. */
  proved(neighbor: Neighbor, client: number): void {
    if (isPrivateIpv4(client)) this.#learn(neighbor, client, 'proved', PROVED_MS);
  }

  /**
   * The guest has not answered `client` for a second at `port`. `hidden` is called, once at most, if it turns out that
   * it would not under that address but does under the host address.
   */
  doubt(neighbor: Neighbor, port: number, client: number, hidden: () => void): void {
    if (!isPrivateIpv4(client)) return;
    const verdict = this.#verdict(neighbor, client);
    if (verdict === 'hidden') hidden();
    if (verdict !== undefined) return;
    const key = keyOf(neighbor, client);
    const running = this.#checks.get(key);
    if (running !== undefined) running.waiters.push(hidden);
    else if (this.#checks.size < MAX_CHECKS) this.#check(key, neighbor, port, client, hidden);
  }

  /** A sentence for a person about the clients that this guest sees with the host address; '' for none. */
  note(neighbor: Neighbor): string {
    const { turn, sources } = this.#options;
    const prefixes: string[] = [];
    for (const known of this.#known.values()) {
      if (known.verdict !== 'hidden' || known.untilMs <= turn.nowMs || known.neighbor.address !== neighbor.address)
        continue;
      if (prefixes.length === MAX_SHOWN) return `${sentence(prefixes, sources.host)} and others`;
      prefixes.push(`${formatIpv4Address(known.prefix)}/24`);
    }
    return prefixes.length === 0 ? '' : sentence(prefixes, sources.host);
  }

  close(): void {
    for (const check of this.#checks.values()) check.stop();
    this.#checks.clear();
  }

  #check(key: number, neighbor: Neighbor, port: number, client: number, hidden: () => void): void {
    const check = new RouteCheck(this.#options, neighbor, port, client, (verdict) => {
      this.#checks.delete(key);
      if (verdict === 'unknown') this.#learn(neighbor, client, verdict, UNKNOWN_MS);
      else if (verdict === 'proved') this.#learn(neighbor, client, verdict, PROVED_MS);
      else {
        this.#options.counters.add('forward-source-hidden');
        this.#learn(neighbor, client, verdict, HIDDEN_MS);
        for (const waiter of check.waiters) waiter();
      }
    });
    check.waiters.push(hidden);
    this.#checks.set(key, check);
    check.begin();
  }

  #verdict(neighbor: Neighbor, client: number): Verdict | undefined {
    const key = keyOf(neighbor, client);
    const known = this.#known.get(key);
    if (known === undefined) return undefined;
    if (known.untilMs > this.#options.turn.nowMs) return known.verdict;
    this.#known.delete(key);
    return undefined;
  }

  #learn(neighbor: Neighbor, client: number, verdict: Verdict, forMs: number): void {
    const key = keyOf(neighbor, client);
    this.#known.delete(key);
    if (this.#known.size >= MAX_PREFIXES) {
      const [oldest] = this.#known.keys();
      if (oldest !== undefined) this.#known.delete(oldest);
    }
    const prefix = (client & 0xffff_ff00) >>> 0;
    this.#known.set(key, { neighbor, prefix, verdict, untilMs: this.#options.turn.nowMs + forMs });
  }
}

/** SYNs from the client's address and from the host address, until it is clear which of them are answered. */
class RouteCheck {
  /** Clients that wait for the outcome: as many as wait for their guests. */
  readonly waiters: (() => void)[] = [];
  readonly #options: SourceRoutesOptions;
  readonly #done: (verdict: Verdict) => void;
  readonly #neighbor: Neighbor;
  readonly #probes: readonly RouteProbe[];
  readonly #patience: Timer = new Timer(() => this.#conclude('hidden'));

  constructor(
    options: SourceRoutesOptions,
    neighbor: Neighbor,
    port: number,
    client: number,
    done: (verdict: Verdict) => void,
  ) {
    this.#options = options;
    this.#neighbor = neighbor;
    this.#done = done;
    const { turn, sources } = options;
    // Our own decides when there is no answer.
    const answeredClient = (answered: boolean): void => {
      if (answered) this.#conclude('proved');
    };
    const answeredUs = (answered: boolean): void => {
      if (answered) turn.timers.arm(this.#patience, LATER_MS);
      else this.#conclude('unknown');
    };
    this.#probes = [
      new RouteProbe(client, port, answeredClient),
      new RouteProbe(client, port === OTHER_PORT ? OTHER_PORT_IF_THAT : OTHER_PORT, answeredClient),
      new RouteProbe(sources.host, port, answeredUs),
    ];
  }

  begin(): void {
    for (const probe of this.#probes) {
      if (!probe.send(this.#options, this.#neighbor)) {
        this.#conclude('unknown');
        return;
      }
    }
  }

  stop(): void {
    this.#options.turn.timers.cancel(this.#patience);
    for (const probe of this.#probes) probe.stop();
  }

  #conclude(verdict: Verdict): void {
    this.stop();
    this.#done(verdict);
  }
}

/** A SYN of ours; whatever answers it, a SYN-ACK is answered by a RST, so that no program of the guest hears of it. */
class RouteProbe implements FlowOpener {
  readonly #source: number;
  readonly #port: number;
  readonly #answered: (answered: boolean) => void;
  #flow: OpenedFlow | undefined;

  constructor(source: number, port: number, answered: (answered: boolean) => void) {
    this.#source = source;
    this.#port = port;
    this.#answered = answered;
  }

  send({ tcp, sources }: SourceRoutesOptions, neighbor: Neighbor): boolean {
    for (let attempt = 1; attempt <= SOURCE_PORT_TRIES; attempt++) {
      const remoteAddress = this.#source;
      const remotePort = sources.portFor(attempt, remoteAddress, 0);
      const ends = { neighbor, guestPort: this.#port, remoteAddress, remotePort };
      const flow = tcp.openFor(ends, undefined, this);
      if (flow === 'in-use') continue;
      if (typeof flow === 'string') return false;
      this.#flow = flow;
      return true;
    }
    return false;
  }

  stop(): void {
    const flow = this.#flow;
    this.#flow = undefined;
    flow?.abort();
  }

  established(): void {
    this.#end(true);
  }

  /** A second has passed. */
  unanswered(): void {
    const flow = this.#flow;
    this.#end(false);
    flow?.abort();
  }

  notOpened(reason: OpenFailure): void {
    this.#end(reason === 'refused');
  }

  ended(): void {}

  /** Says how it went, unless it was stopped. */
  #end(answered: boolean): void {
    if (this.#flow === undefined) return;
    this.#flow = undefined;
    this.#answered(answered);
  }
}

function keyOf(neighbor: Neighbor, client: number): number {
  // 28 bits of the guest's address are more than any subnet leaves free.
  return (neighbor.address & 0x0fff_ffff) * 2 ** 24 + (client >>> 8);
}

function sentence(prefixes: readonly string[], host: number): string {
  return `the guest does not answer clients of ${prefixes.join(', ')} under their own addresses, so it sees them as ${formatIpv4Address(host)}`;
}
