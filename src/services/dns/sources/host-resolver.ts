import { type LookupAddress, lookup } from 'node:dns';
import type { Counters } from '../../../env/counters.ts';

/**
 * What the host says about a name: addresses of both families as text; 'no-address' for one that exists without any,
 * or of which one family is not there and the other one failed (glibc does not tell which); 'busy' when too many
 * lookups wait already.
 */
export type HostAnswer = readonly string[] | 'no-such-name' | 'no-address' | 'failed' | 'busy';

export type AddressFamily = 4 | 6;

/** One call of getaddrinfo. Never rejects. */
type LookupFunction = (name: string) => Promise<HostAnswer>;

/** libuv runs at most half of its pool's threads as getaddrinfo; the command line makes the pool 128. */
const LOOKUPS = 64;
/**
 * How many of these names may hold for which no nameserver has answered yet. A dead name holds its thread for ten
 * seconds and more; the rest of the pool stays for names that are known to be alive, so dead names never delay them.
 */
const DOUBTFUL_LOOKUPS = 48;
/**
 * Waiting ones, at some hundred bytes each: as many lookups as the service may have at once (`dns.lookups`). Fewer,
 * and one guest's dead names would keep the system's word from the names of others.
 */
const WAITING = 4096;

/** libuv's numbers; the code is ENOTFOUND for all of them. */
const EAI_ADDRFAMILY = -3000;
const EAI_NODATA = -3007;
const EAI_NONAME = -3008;

/** One asker's lookup. */
export interface HostLookup {
  /** Never rejects. Stays open for ever after `abort`. */
  readonly answer: Promise<HostAnswer>;
  /** A nameserver has answered for this name, whatever it said: it is not dead. Idempotent. */
  nameIsAlive(): void;
  /** The asker waits no longer: a lookup that nobody waits for is not begun. Idempotent. */
  abort(): void;
}

/** The same question, asked by one or many. */
interface Job {
  readonly key: string;
  readonly name: string;
  readonly answer: Promise<HostAnswer>;
  readonly settle: (answer: HostAnswer) => void;
  askers: number;
  alive: boolean;
  begun: boolean;
}

/**
 * Looks names up as every program of the host does (getaddrinfo: hosts file, VPN split DNS, mDNS).
 *
 * The same question asked twice at once, on the same network, is looked up once. Each lookup holds a thread for as long
 * as it takes and cannot be called back, so they are counted: 64 at once, of which 48 may be doubtful (no nameserver
 * has answered for the name); the others wait in order, those of living names first.
 */
export class HostResolver {
  readonly #counters: Counters;
  readonly #lookup: LookupFunction;
  readonly #generation: () => number;
  readonly #jobs = new Map<string, Job>();
  readonly #waitingAlive = new Set<Job>();
  readonly #waitingDoubtful = new Set<Job>();
  #running = 0;
  #runningDoubtful = 0;

  /**
   * `generation` rises when the host's network changes: a lookup that asks the former one serves nobody who asks later.
   */
  constructor(counters: Counters, generation: () => number, lookup: LookupFunction = getaddrinfo) {
    this.#counters = counters;
    this.#generation = generation;
    this.#lookup = lookup;
  }

  /**
   * The addresses of a name, each once, in the system's order. Both families are asked for at once (AF_UNSPEC), as
   * most programs do, and so the questions for A and for AAAA share one asking. Asked for one family that a name does
   * not have, the C library goes on to NAME.SEARCHDOMAIN: a wildcard there would give the guest addresses that no
   * program of the host sees, a dead one would delay each answer, and every IPv4-only name would be told to the
   * company's nameservers.
   */
  lookup(name: string): HostLookup {
    const key = `${this.#generation()} ${name}`;
    let job = this.#jobs.get(key);
    if (job === undefined) {
      if (this.#waitingAlive.size + this.#waitingDoubtful.size >= WAITING) {
        this.#counters.add('dns-lookup-queue-full');
        return { answer: Promise.resolve('busy'), nameIsAlive: () => {}, abort: () => {} };
      }
      job = newJob(key, name);
      this.#jobs.set(key, job);
      this.#waitingDoubtful.add(job);
      this.#begin();
    }
    return this.#handle(job);
  }

  #handle(job: Job): HostLookup {
    job.askers++;
    let waits = true;
    return {
      answer: job.answer,
      nameIsAlive: () => this.#nameIsAlive(job),
      abort: () => {
        if (waits) this.#leave(job);
        waits = false;
      },
    };
  }

  #nameIsAlive(job: Job): void {
    if (job.alive || this.#jobs.get(job.key) !== job) return;
    job.alive = true;
    if (job.begun) this.#runningDoubtful--;
    else if (this.#waitingDoubtful.delete(job)) this.#waitingAlive.add(job);
    this.#begin();
  }

  #leave(job: Job): void {
    job.askers--;
    if (job.askers > 0 || job.begun) return;
    this.#waitingDoubtful.delete(job);
    this.#waitingAlive.delete(job);
    this.#jobs.delete(job.key);
  }

  #begin(): void {
    while (this.#running < LOOKUPS) {
      const job = this.#next();
      if (job === undefined) return;
      this.#running++;
      if (!job.alive) this.#runningDoubtful++;
      job.begun = true;
      void this.#call(job.name).then((answer) => this.#end(job, answer));
    }
  }

  /** Takes who goes next out of its queue. */
  #next(): Job | undefined {
    for (const job of this.#waitingAlive) {
      this.#waitingAlive.delete(job);
      return job;
    }
    if (this.#runningDoubtful >= DOUBTFUL_LOOKUPS) return undefined;
    for (const job of this.#waitingDoubtful) {
      this.#waitingDoubtful.delete(job);
      return job;
    }
    return undefined;
  }

  #end(job: Job, answer: HostAnswer): void {
    this.#running--;
    if (!job.alive) this.#runningDoubtful--;
    this.#jobs.delete(job.key);
    if (answer === 'failed') this.#counters.add('dns-host-lookup-failed');
    job.settle(answer);
    this.#begin();
  }

  /** A defect of the lookup costs this one answer. */
  async #call(name: string): Promise<HostAnswer> {
    try {
      return await this.#lookup(name);
    } catch {
      return 'failed';
    }
  }
}

function newJob(key: string, name: string): Job {
  let settle: (answer: HostAnswer) => void = () => {};
  const answer = new Promise<HostAnswer>((resolve) => {
    settle = resolve;
  });
  return { key, name, answer, settle, askers: 0, alive: false, begun: false };
}

function getaddrinfo(name: string): Promise<HostAnswer> {
  return new Promise((resolve) => {
    lookup(name, { family: 0, all: true, order: 'verbatim' }, (error, addresses) => {
      resolve(error === null ? unique(addresses) : classify(error));
    });
  });
}

/** getaddrinfo gives an address once for each socket type that it knows. */
function unique(addresses: readonly LookupAddress[]): readonly string[] {
  return [...new Set(addresses.map(({ address }) => address))];
}

function classify(error: NodeJS.ErrnoException): HostAnswer {
  switch (error.errno) {
    case EAI_NONAME:
      return 'no-such-name';
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
      return 'no-address';
    default:
      return 'failed';
  }
}
