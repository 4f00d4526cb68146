import { SlipwayError } from '../../facts/errors.ts';
import type { Counters } from '../../env/counters.ts';
import { writeU16 } from '../../wire/bytes.ts';
import { appendOpt, DNS_OPT_BYTES, DNS_OWN_UDP_BYTES, type DnsEdns, findEdns } from '../../wire/dns-edns.ts';
import {
  DNS_BADVERS,
  DNS_CD,
  DNS_CLASS_IN,
  DNS_FORMERR,
  DNS_HEADER_BYTES,
  DNS_NOTIMP,
  DNS_OPCODE_MASK,
  DNS_QR,
  DNS_RA,
  DNS_RD,
  DNS_REFUSED,
  DNS_SERVFAIL,
  DNS_TYPE_AXFR,
  DNS_TYPE_IXFR,
  DNS_TYPE_OPT,
  DnsQuestion,
  parseDnsQuestion,
  writeDnsQuery,
} from '../../wire/dns-message.ts';
import { DNS_MAX_NAME_BYTES, dnsNameKey } from '../../wire/dns-name.ts';
import type { DnsQuery, DnsTransport } from './dns-query.ts';
import type { DnsSources } from './dns-sources.ts';
import type { DnsAnswers, DnsServerName } from './dns-stream-server.ts';
import { fitAnswer } from './fit-answer.ts';
import type { LookupTrace } from './lookup-trace.ts';
import type { QueryLimit } from './query-limit.ts';

interface DnsServiceOptions {
  readonly servers: DnsSources['servers'];
  readonly limit: QueryLimit;
  readonly counters: Counters;
}

export interface DnsLookup {
  readonly name: string;
  readonly type: number;
  /** Signatures too. */
  readonly dnssecOk?: boolean;
  /** 'all' unless told. */
  readonly server?: DnsServerName;
  readonly trace?: LookupTrace | undefined;
}

/** Whose question it is. */
type Asker = Pick<DnsQuery, 'guest' | 'trace'>;

/**
 * The front of the DNS servers at the gateway: reads a guest's message, refuses what is not a question, asks the
 * sources and fits the answer to the asker. Answers of zones and cache come back at once, all others as promises.
 *
 * Guest bytes never make it throw or reject; a defect costs one answer (SERVFAIL, 'dns-defect').
 */
export class DnsService implements DnsAnswers {
  readonly #options: DnsServiceOptions;

  constructor(options: DnsServiceOptions) {
    this.#options = options;
  }

  /**
   * The answer to a message of `guest` (`Port.attachment`); undefined for what gets none: no header, itself an answer,
   * or over the guest's limit in a datagram. A stream's question waits for its turn. `server` 'internal' answers zones
   * and refuses the rest. Keeps `bytes`, which must not change any more; the answer is the caller's.
   */
  answer(
    bytes: Uint8Array,
    guest: string,
    transport: DnsTransport,
    server: DnsServerName,
  ): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    const { limit } = this.#options;
    const answered = (): Uint8Array | undefined | Promise<Uint8Array> => {
      const query = this.#read(bytes, { guest });
      return isQuery(query) ? this.#ask(query, transport, server) : query;
    };
    if (limit.admit(guest)) return answered();
    return transport === 'udp' ? undefined : limit.waitForTurn(guest).then(answered);
  }

  /**
   * Answers a question of our own (`slipway dns lookup`), whole, without the guests' limits. Rejects with ERR_USAGE
   * for a name that is none.
   */
  async lookup({ name, type, trace, server = 'all', dnssecOk = false }: DnsLookup): Promise<Uint8Array> {
    const room = new Uint8Array(DNS_HEADER_BYTES + DNS_MAX_NAME_BYTES + 4 + DNS_OPT_BYTES);
    const length = writeDnsQuery(room, 0, room.length, 0, name, type);
    if (length < 0) {
      throw new SlipwayError(
        'ERR_USAGE',
        `${JSON.stringify(name)} is not a domain name`,
        'A label has 1 to 63 octets.',
      );
    }
    const end = appendOpt(room, length, { udpBytes: DNS_OWN_UDP_BYTES, extendedRcode: 0, dnssecOk });
    const bytes = room.slice(0, end);
    const query = this.#read(bytes, { trace });
    return isQuery(query) ? this.#ask(query, 'tcp', server) : (query ?? bytes);
  }

  #ask(query: DnsQuery, transport: DnsTransport, server: DnsServerName): Uint8Array | Promise<Uint8Array> {
    const answer = this.#options.servers[server](query);
    if (answer instanceof Promise) return answer.then(({ message }) => this.#fit(message, query, transport));
    return this.#fit(answer.message, query, transport);
  }

  #fit(message: Uint8Array, query: DnsQuery, transport: DnsTransport): Uint8Array {
    const { counters } = this.#options;
    const { bytes, question, edns } = query;
    try {
      const fitted = fitAnswer(message, query, transport);
      if (fitted !== undefined) return fitted;
      counters.add('dns-bad-answer');
    } catch {
      counters.add('dns-defect');
    }
    return refusal(bytes, question, edns, DNS_SERVFAIL);
  }

  /** The question in a message, or the answer that it gets without further thought; undefined for none. */
  #read(bytes: Uint8Array, asker: Asker): DnsQuery | Uint8Array | undefined {
    const { counters } = this.#options;
    const question = new DnsQuestion();
    const fault = parseDnsQuestion(bytes, 0, bytes.length, question);
    if (fault !== undefined) counters.add(fault);
    if (fault === 'dns-truncated') return undefined;
    if (question.response) {
      counters.add('dns-not-a-question');
      return undefined;
    }
    if (question.opcode !== 0) return refusal(bytes, question, undefined, DNS_NOTIMP);
    if (fault !== undefined) return refusal(bytes, question, undefined, DNS_FORMERR);
    const edns = findEdns(bytes, question, bytes.length);
    if (edns === 'dns-bad-edns') {
      counters.add(edns);
      return refusal(bytes, question, undefined, DNS_FORMERR);
    }
    const { type } = question;
    if (type === DNS_TYPE_OPT) return refusal(bytes, question, edns, DNS_FORMERR);
    if (edns !== undefined && edns.version !== 0) return refusal(bytes, question, edns, DNS_BADVERS);
    // A resolver has no zones to transfer (RFC 5936), and no class but the Internet's.
    if (question.class !== DNS_CLASS_IN || type === DNS_TYPE_AXFR || type === DNS_TYPE_IXFR) {
      return refusal(bytes, question, edns, DNS_REFUSED);
    }
    return {
      ...asker,
      bytes,
      question,
      name: dnsNameKey(question.name),
      edns,
      dnssecOk: edns?.dnssecOk ?? false,
      checkingDisabled: (question.flags & DNS_CD) !== 0,
    };
  }
}

function isQuery(read: DnsQuery | Uint8Array | undefined): read is DnsQuery {
  return read !== undefined && !(read instanceof Uint8Array);
}

/** An answer of nothing but a response code (12 bits) and the question, where there was one. */
function refusal(bytes: Uint8Array, question: DnsQuestion, edns: DnsEdns | undefined, rcode: number): Uint8Array {
  const { questionAt, questionEnd, flags, id } = question;
  const message = new Uint8Array(questionEnd + (edns === undefined ? 0 : DNS_OPT_BYTES));
  message.set(bytes.subarray(questionAt, questionEnd), DNS_HEADER_BYTES);
  writeU16(message, 0, id);
  writeU16(message, 2, DNS_QR | DNS_RA | (flags & (DNS_OPCODE_MASK | DNS_RD | DNS_CD)) | (rcode & 15));
  writeU16(message, 4, questionEnd > questionAt ? 1 : 0);
  if (edns !== undefined) {
    const { dnssecOk } = edns;
    appendOpt(message, questionEnd, { udpBytes: DNS_OWN_UDP_BYTES, extendedRcode: rcode >>> 4, dnssecOk });
  }
  return message;
}
