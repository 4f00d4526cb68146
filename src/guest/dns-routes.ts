import { OLD_DOCKER_BEGINNINGS, OWN_DOMAINS } from '../facts/own-names.ts';
import { DNS_FORMERR, DNS_NOTIMP, type DnsQuestion, parseDnsQuestion } from '../wire/dns-message.ts';
import { dnsNameKey } from '../wire/dns-name.ts';

/** The two servers at the gateway. */
export type GatewayServer = 'internal' | 'system';

/**
 * What becomes of a message: a server's, an rcode to answer with at once, or not answerable (no header, or itself an
 * answer).
 */
export type DnsRoute = GatewayServer | { readonly rcode: number } | 'dropped';

const MALFORMED: DnsRoute = { rcode: DNS_FORMERR };
const UNKNOWN_OPCODE: DnsRoute = { rcode: DNS_NOTIMP };

/**
 * Says where each question goes: a name at or below an internal domain is internal. Looks at the question alone, so
 * what else is in a message passes untouched.
 */
export class DnsRoutes {
  readonly #domains: ReadonlySet<string>;

  /** `domains`: internal ones besides Slipway's own. */
  constructor(domains: readonly string[] = []) {
    this.#domains = new Set([...OWN_DOMAINS, ...domains].map(dnsNameKey));
  }

  /** The internal domains, in lower case and without the last dot. */
  get domains(): readonly string[] {
    return [...this.#domains];
  }

  /** Never throws, whatever `message` is. `question` is filled for a message that goes to a server. */
  route(message: Uint8Array, question: DnsQuestion): DnsRoute {
    const fault = parseDnsQuestion(message, 0, message.length, question);
    if (fault === 'dns-truncated' || question.response) return 'dropped';
    if (question.opcode !== 0) return UNKNOWN_OPCODE;
    if (fault !== undefined) return MALFORMED;
    return this.server(question.name);
  }

  /** The server of a name, in any case, with or without the last dot. */
  server(name: string): GatewayServer {
    const key = dnsNameKey(name);
    if (OLD_DOCKER_BEGINNINGS.some((labels) => key === labels || key.startsWith(`${labels}.`))) return 'internal';
    // An escaped dot is part of its label, so a suffix counts only where a label begins.
    for (let at = 0; at < key.length; at = nextLabel(key, at)) {
      if (this.#domains.has(key.slice(at))) return 'internal';
    }
    return 'system';
  }
}

/** Where the label after the one at `at` begins; the end of the name when there is none. */
function nextLabel(key: string, at: number): number {
  for (; at < key.length; at++) {
    if (key[at] === '\\') at++;
    else if (key[at] === '.') return at + 1;
  }
  return key.length;
}
