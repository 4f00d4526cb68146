import { type LookupAddress, lookup } from 'node:dns';
import type { Counters } from '../../../env/counters.ts';

/**
 * What the host says about a name: addresses as text, perhaps none (the name exists without this family); 'other-family' when
 * the lookup failed, but the name has addresses of the other family; 'busy' when too many lookups wait already.
 */
export type HostAnswer = readonly string[] | 'no-such-name' | 'failed' | 'other-family' | 'busy';

export type AddressFamily = 4 | 6;
/** 0: both, as most programs ask. */
export type LookupFamily = AddressFamily | 0;

/** One call of getaddrinfo. Never rejects. */
export type LookupFunction = (name: string, family: LookupFamily) => Promise<HostAnswer>;

/** libuv runs at most half of its pool's threads as getaddrinfo; the command line makes the pool 128. */
const LOOKUPS = 64;
/**
 * Of these, so many may be held by names that no nameserver has answered for yet. A dead name holds its thread for ten
 * seconds and more; the rest of the pool stays for names that are known to be alive, so dead names never delay them.
 */
const DOUBTFUL_LOOKUPS = 48;
/**
 * Waiting ones, at some hundred bytes each: twice the lookups that the service has at once by default, as each may ask for both
 * families as well. Fewer, and one guest's dead names would keep the system's word from the names of others.
 */
const WAITING = 8192;

/** libuv's numbers; the code is ENOTFOUND for all of them. */
const EAI_ADDRFAMILY = -3000;
const EAI_NODATA = -3007;
const EAI_NONAME = -3008;

/** One asker's lookup. */
export interface HostLookup {
  /** Never rejects. Stays open for ever after `abandon`. */
  readonly answer: Promise<HostAnswer>;
  /** A nameserver has answered for this name, whatever it said: it is not dead. Idempotent. */
  nameIsAlive(): void;
  /** The asker waits no longer: a lookup that nobody waits for is not begun. Idempotent. */
  abandon(): void;
}

/** The same question, asked by one or many. */
interface Job {
  readonly key: string;
  readonly name: string;
  readonly family: LookupFamily;
  readonly answer: Promise<HostAnswer>;
  readonly settle: (answer: HostAnswer) => void;
  askers: number;
  alive: boolean;
  /** What getaddrinfo says of this family alone; undefined until it is called. */
  first: Promise<HostAnswer> | undefined;
}

/**
 * Looks names up as every program of the host does (getaddrinfo: hosts file, VPN split DNS, mDNS).
 *
 * The same question asked twice at once is looked up once. Each lookup holds a thread for as long as it takes and cannot
 * be called back, so they are counted: 64 at once, of which 48 may be doubtful (no nameserver has answered for the name);
 * the others wait in order, those of living names first.
 */
export class HostResolver {
  readonly #counters: Counters;
  readonly #lookup: LookupFunction;
  readonly #jobs = new Map<string, Job>();
  readonly #waitingAlive = new Set<Job>();
  readonly #waitingDoubtful = new Set<Job>();
  #running = 0;
  #runningDoubtful = 0;

  constructor(counters: Counters, lookup: LookupFunction = getaddrinfo) {
    this.#counters = counters;
    this.#lookup = lookup;
  }

  /**
   * The addresses of one family (or of both), each once, in the system's order. getaddrinfo says "no such name", or fails, also for a
   * name that has only the other family in the hosts file; a guest would then believe that the name does not exist at
   * all (musl gives a name up when one family fails), so the other family is asked too.
   */
  lookup(name: string, family: LookupFamily): HostLookup {
    const key = `${family} ${name}`;
    let job = this.#jobs.get(key);
    if (job === undefined) {
      if (this.#waitingAlive.size + this.#waitingDoubtful.size >= WAITING) {
        this.#counters.add('dns-lookup-queue-full');
        return { answer: Promise.resolve('busy'), nameIsAlive: () => {}, abandon: () => {} };
      }
      job = newJob(key, name, family);
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
      abandon: () => {
        if (waits) this.#leave(job);
        waits = false;
      },
    };
  }

  #nameIsAlive(job: Job): void {
    if (job.alive || this.#jobs.get(job.key) !== job) return;
    job.alive = true;
    if (job.first !== undefined) this.#runningDoubtful--;
    else if (this.#waitingDoubtful.delete(job)) this.#waitingAlive.add(job);
    this.#begin();
  }

  #leave(job: Job): void {
    job.askers--;
    if (job.askers > 0 || job.first !== undefined) return;
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
      job.first = this.#called(job.name, job.family);
      void this.#bothFamilies(job, job.first).then((answer) => this.#end(job, answer));
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
    if (answer === 'failed' || answer === 'other-family') this.#counters.add('dns-host-lookup-failed');
    job.settle(answer);
    this.#begin();
  }

  async #bothFamilies(job: Job, first: Promise<HostAnswer>): Promise<HostAnswer> {
    const answer = await first;
    // Who waited for a dead name has gone by the time it fails.
    if ((answer !== 'no-such-name' && answer !== 'failed') || job.askers === 0 || job.family === 0) return answer;
    const family = job.family === 4 ? 6 : 4;
    // Guests ask for both families at once: what the other lookup hears serves here too. One that has not begun is not waited
    // for: it may stand behind this one's thread.
    const other = await (this.#jobs.get(`${family} ${job.name}`)?.first ?? this.#called(job.name, family));
    if (typeof other === 'string') return answer;
    return answer === 'failed' ? 'other-family' : [];
  }

  /** A defect of the lookup costs this one answer. */
  async #called(name: string, family: LookupFamily): Promise<HostAnswer> {
    try {
      return await this.#lookup(name, family);
    } catch {
      return 'failed';
    }
  }
}

function newJob(key: string, name: string, family: LookupFamily): Job {
  let settle: (answer: HostAnswer) => void = () => {};
  const answer = new Promise<HostAnswer>((resolve) => {
    settle = resolve;
  });
  return { key, name, family, answer, settle, askers: 0, alive: false, first: undefined };
}

function getaddrinfo(name: string, family: LookupFamily): Promise<HostAnswer> {
  return new Promise((resolve) => {
    lookup(name, { family, all: true, order: 'verbatim' }, (error, addresses) => {
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
      return [];
    default:
      return 'failed';
  }
}
