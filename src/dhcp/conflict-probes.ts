import type { Counters } from '../env/counters.ts';
import { Timer } from '../turn/timers.ts';
import type { Turn } from '../turn/turn.ts';
import type { Heard, LinkView } from './address-choice.ts';
import type { DhcpClient } from './dhcp-client.ts';

/** How long someone has to answer. The link is a switch in memory: what takes this long is a guest's scheduler. */
export const PROBE_MS = 300;
/** Asked twice: a port's queue may be full for a moment. */
const PROBES = 2;
/** 256 at once: four newcomers for each of as many guests as there may be by default. */
export const MAX_PROBES = 256;
/** One port may not keep all the others from being served. */
export const MAX_PROBES_PER_PLACE = 32;
/** `Heard.seenMs` is kept to the second. */
const SEEN_GRANULE_MS = 1000;

/** Asks on the link who has an address; what is answered shows in `LinkView.heardAt`. */
export interface AddressProber {
  /** Sends an ARP probe (RFC 5227 §2.1.1) for `address` to every guest. */
  probe(address: number): void;
}

export interface ProbesOptions<Request> {
  readonly turn: Turn;
  readonly counters: Counters;
  readonly link: LinkView;
  readonly prober: AddressProber;
  /** The time is over: `other` is who answered, the client itself aside. */
  readonly onVerdict: (request: Request, address: number, tries: number, other: Heard | undefined) => void;
}

/** One client's address that is being asked for. */
class Probe<Request> {
  readonly client: DhcpClient;
  readonly address: number;
  readonly tries: number;
  readonly startedMs: number;
  readonly timer: Timer;
  /** What is answered when the time is over: the client's latest message. */
  request: Request;
  sent = 0;

  constructor(
    client: DhcpClient,
    address: number,
    tries: number,
    request: Request,
    startedMs: number,
    fire: (probe: Probe<Request>) => void,
  ) {
    this.client = client;
    this.address = address;
    this.tries = tries;
    this.request = request;
    this.startedMs = startedMs;
    this.timer = new Timer(() => fire(this));
  }
}

/**
 * Looks whether someone uses an address before it is given to a client that is not known to have it (RFC 2131 §3.1 step
 * 2). At most one probe for a client and for an address; bounded in all and for each port.
 */
export class ConflictProbes<Request> {
  readonly #options: ProbesOptions<Request>;
  readonly #byClient = new Map<string, Probe<Request>>();
  readonly #byAddress = new Map<number, Probe<Request>>();
  readonly #perPlace = new Map<number, number>();

  constructor(options: ProbesOptions<Request>) {
    this.#options = options;
  }

  get size(): number {
    return this.#byClient.size;
  }

  isBusy(address: number): boolean {
    return this.#byAddress.has(address);
  }

  /** The address that is being asked for on behalf of `client`. */
  addressFor(client: DhcpClient): number | undefined {
    return this.#byClient.get(client.key)?.address;
  }

  /** The client asked again meanwhile: `request` is what will be answered. */
  follow(client: DhcpClient, request: Request): void {
    const probe = this.#byClient.get(client.key);
    if (probe !== undefined) probe.request = request;
  }

  /**
   * Begins to ask for `address`; false when too many are being asked for (counted). `tries` comes back with the
   * verdict.
   */
  start(client: DhcpClient, address: number, tries: number, request: Request): boolean {
    const { counters, turn } = this.#options;
    const ofPlace = this.#perPlace.get(client.place) ?? 0;
    if (this.#byClient.size >= MAX_PROBES || ofPlace >= MAX_PROBES_PER_PLACE) {
      counters.add('dhcp-probe-limit');
      return false;
    }
    this.cancel(client);
    const probe = new Probe(client, address, tries, request, turn.nowMs, (fired) => this.#step(fired));
    this.#byClient.set(client.key, probe);
    this.#byAddress.set(address, probe);
    this.#perPlace.set(client.place, (this.#perPlace.get(client.place) ?? 0) + 1);
    this.#step(probe);
    return true;
  }

  cancel(client: DhcpClient): void {
    const probe = this.#byClient.get(client.key);
    if (probe === undefined) return;
    this.#options.turn.timers.cancel(probe.timer);
    this.#remove(probe);
  }

  /** `client` itself is back at `address`: whoever else wanted it waits in vain and asks again. */
  giveWay(client: DhcpClient, address: number): void {
    const probe = this.#byAddress.get(address);
    if (probe !== undefined && probe.client.key !== client.key) this.cancel(probe.client);
  }

  /** Ends all without a verdict. */
  close(): void {
    for (const probe of [...this.#byClient.values()]) this.cancel(probe.client);
  }

  #step(probe: Probe<Request>): void {
    const { turn, prober, counters, onVerdict } = this.#options;
    if (probe.sent < PROBES) {
      probe.sent++;
      counters.add('dhcp-probe-sent');
      prober.probe(probe.address);
      turn.timers.arm(probe.timer, PROBE_MS / PROBES);
      return;
    }
    this.#remove(probe);
    onVerdict(probe.request, probe.address, probe.tries, this.#other(probe));
  }

  #other(probe: Probe<Request>): Heard | undefined {
    const heard = this.#options.link.heardAt(probe.address);
    if (heard === undefined || heard.mac === probe.client.mac) return undefined;
    return heard.seenMs >= probe.startedMs - SEEN_GRANULE_MS ? heard : undefined;
  }

  #remove(probe: Probe<Request>): void {
    const { key, place } = probe.client;
    this.#byClient.delete(key);
    this.#byAddress.delete(probe.address);
    const left = (this.#perPlace.get(place) ?? 1) - 1;
    if (left > 0) this.#perPlace.set(place, left);
    else this.#perPlace.delete(place);
  }
}
