import { type LookupAddress, lookup } from 'node:dns';

/** What the host says about a name: addresses as text, perhaps none (the name exists without this family). */
export type HostAnswer = readonly string[] | 'no-such-name' | 'failed';

/** libuv's numbers; the code is ENOTFOUND for all of them. */
const EAI_ADDRFAMILY = -3000;
const EAI_NODATA = -3007;
const EAI_NONAME = -3008;

/**
 * Looks names up as every program of the host does (getaddrinfo: hosts file, VPN split DNS, mDNS). The same question
 * asked twice at once is looked up once. Each lookup holds a thread of libuv's pool, which the command line makes larger.
 */
export class HostResolver {
  readonly #running = new Map<string, Promise<HostAnswer>>();

  /**
   * The addresses of one family. getaddrinfo says "no such name" also of a name that has only the other family in the
   * hosts file; a guest would then believe that the name does not exist at all, so the other family is asked too.
   */
  async resolve(name: string, family: 4 | 6): Promise<HostAnswer> {
    const answer = await this.#once(name, family);
    if (answer !== 'no-such-name') return answer;
    const other = await this.#once(name, family === 4 ? 6 : 4);
    return typeof other === 'string' ? answer : [];
  }

  #once(name: string, family: 4 | 6): Promise<HostAnswer> {
    const key = `${family} ${name}`;
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const answer = ask(name, family).finally(() => this.#running.delete(key));
    this.#running.set(key, answer);
    return answer;
  }
}

function ask(name: string, family: 4 | 6): Promise<HostAnswer> {
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
