import { SlipwayError } from '../../config/errors.ts';
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
import type { DnsAnswers, DnsServerName } from './dns-stream-server.ts';
import { fitAnswer } from './fit-answer.ts';
import { joinedAnswer } from './joined-answer.ts';
import type { LookupTrace } from './lookup-trace.ts';
import type { LookupPlace, QueryLimit } from './query-limit.ts';
import type { SystemServer } from './system/system-server.ts';
import { traceRefusal, traceZone } from './trace-front.ts';
import type { ZoneAnswer } from './zones/zone-answer.ts';
import type { ZoneStore } from './zones/zone-store.ts';

const OPCODE_MASK = 0x7800;

export interface DnsServiceOptions {
  /** The internal server's data. */
  readonly zones: ZoneStore;
  /** The rest of the world, as the host sees it. */
  readonly system: SystemServer;
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

/**
 * The front of the DNS servers at the gateway: reads a guest's message, refuses what is no question, asks the zones and then
 * the host's world, and fits the answer to its asker. Zones and cached answers come back at once, everything else by promise.
 *
 * Guest bytes never make it throw or reject; a defect behind it costs the one answer (SERVFAIL, 'dns-defect').
 */
export class DnsService implements DnsAnswers {
  readonly #options: DnsServiceOptions;

  constructor(options: DnsServiceOptions) {
    this.#options = options;
  }

  /**
   * The answer to a message of `guest` (`Port.attachment`); undefined for what gets none: no header, itself an answer, or over the guest's
   * limit in a datagram. A stream's question waits for its turn. `server` 'internal' answers zones and refuses the rest.
   * Keeps `bytes`, which nobody may change any more; the answer is the caller's.
   */
  answer(
    bytes: Uint8Array,
    guest: string,
    transport: DnsTransport,
    server: DnsServerName,
  ): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    const { limit } = this.#options;
    if (limit.admit(guest)) return this.#answer(bytes, guest, transport, server);
    if (transport === 'udp') return undefined;
    return limit.admitted(guest).then(() => this.#answer(bytes, guest, transport, server));
  }

  /**
   * Answers a question of our own (`slipway dns lookup`), whole, without the guests' limits. Rejects with ERR_USAGE for a name
   * that is none.
   */
  async lookup(lookup: DnsLookup): Promise<Uint8Array> {
    const { name, type, trace, server = 'all', dnssecOk = false } = lookup;
    const room = new Uint8Array(DNS_HEADER_BYTES + DNS_MAX_NAME_BYTES + 4 + DNS_OPT_BYTES);
    const length = writeDnsQuery(room, 0, room.length, 0, name, type);
    if (length < 0) {
      throw new SlipwayError('ERR_USAGE', `${JSON.stringify(name)} is no domain name`, 'A label has 1 to 63 octets.');
    }
    const end = appendOpt(room, length, { udpBytes: DNS_OWN_UDP_BYTES, extendedRcode: 0, dnssecOk });
    const bytes = room.slice(0, end);
    const question = new DnsQuestion();
    const query = this.#read(bytes, question);
    if (!isQuery(query)) return query ?? bytes;
    try {
      const found = this.#find(query, server, trace);
      const message = found instanceof Uint8Array ? found : await found();
      return fitAnswer(message, query, 'tcp') ?? this.#unfit(query);
    } catch {
      return this.#defect(query);
    }
  }

  #answer(
    bytes: Uint8Array,
    guest: string,
    transport: DnsTransport,
    server: DnsServerName,
  ): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    const question = new DnsQuestion();
    const query = this.#read(bytes, question);
    if (!isQuery(query)) return query;
    const fit = (message: Uint8Array): Uint8Array => fitAnswer(message, query, transport) ?? this.#unfit(query);
    const { limit } = this.#options;
    let lookup: () => Promise<Uint8Array>;
    let place: LookupPlace | undefined;
    try {
      const found = this.#find(query, server, undefined);
      if (found instanceof Uint8Array) return fit(found);
      lookup = found;
      place = limit.enter(guest);
    } catch {
      return this.#defect(query);
    }
    if (place === undefined) return refusal(bytes, question, query.edns, DNS_SERVFAIL);
    const held = place;
    return lookup()
      .then(fit)
      .catch(() => this.#defect(query))
      .finally(() => limit.leave(held));
  }

  /** The question in a message, or the answer that it gets without further thought; undefined for none. */
  #read(bytes: Uint8Array, question: DnsQuestion): DnsQuery | Uint8Array | undefined {
    const { counters } = this.#options;
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
      bytes,
      question,
      name: dnsNameKey(question.name),
      edns,
      dnssecOk: edns?.dnssecOk ?? false,
      checkingDisabled: (question.flags & DNS_CD) !== 0,
    };
  }

  /** What can be said at once (by a zone, by the cache, or that this server does not answer such names), or how it is found out. */
  #find(
    query: DnsQuery,
    server: DnsServerName,
    trace: LookupTrace | undefined,
  ): Uint8Array | (() => Promise<Uint8Array>) {
    const { zones, system, counters } = this.#options;
    const found = zones.answer(query);
    if (found !== undefined) {
      counters.add('dns-zone-answer');
      if (trace !== undefined) traceZone(trace, query, found);
      const { aliasTarget } = found;
      return aliasTarget === undefined ? found.message : () => this.#complete(query, found, aliasTarget, trace);
    }
    if (server === 'internal') {
      if (trace !== undefined) traceRefusal(trace);
      return refusal(query.bytes, query.question, undefined, DNS_REFUSED);
    }
    trace?.step({ kind: 'server', server: 'system', why: 'no zone of Slipway has the name' });
    // With a trace the system server tells of its cache itself.
    const cached = trace === undefined ? system.cached(query) : undefined;
    return cached ?? (() => system.resolve(query, trace));
  }

  /** A name of ours that is another name elsewhere: the rest of the answer is the world's. It leads nowhere further. */
  async #complete(
    query: DnsQuery,
    found: ZoneAnswer,
    target: string,
    trace: LookupTrace | undefined,
  ): Promise<Uint8Array> {
    const { system, counters } = this.#options;
    trace?.step({ kind: 'server', server: 'system', why: `no zone of Slipway has ${target}` });
    const rest = await system.resolve(queryFor(query, target), trace);
    const joined = joinedAnswer(found.message, rest);
    if (joined !== undefined) return joined;
    counters.add('dns-bad-answer');
    return refusal(query.bytes, query.question, undefined, DNS_SERVFAIL);
  }

  #unfit({ bytes, question, edns }: DnsQuery): Uint8Array {
    this.#options.counters.add('dns-bad-answer');
    return refusal(bytes, question, edns, DNS_SERVFAIL);
  }

  #defect({ bytes, question, edns }: DnsQuery): Uint8Array {
    this.#options.counters.add('dns-defect');
    return refusal(bytes, question, edns, DNS_SERVFAIL);
  }
}

function isQuery(read: DnsQuery | Uint8Array | undefined): read is DnsQuery {
  return read !== undefined && !(read instanceof Uint8Array);
}

/** The same question for another name, which a record of ours has, so it is one. */
function queryFor(query: DnsQuery, target: string): DnsQuery {
  const { type, flags } = query.question;
  const bytes = new Uint8Array(DNS_HEADER_BYTES + DNS_MAX_NAME_BYTES + 4);
  const length = writeDnsQuery(bytes, 0, bytes.length, 0, target, type);
  writeU16(bytes, 2, flags & (DNS_RD | DNS_CD));
  const question = new DnsQuestion();
  parseDnsQuestion(bytes, 0, length, question);
  return { ...query, bytes: bytes.subarray(0, length), question, name: dnsNameKey(target), edns: undefined };
}

/** An answer of nothing but a response code (12 bits) and the question, where there was one. */
function refusal(bytes: Uint8Array, question: DnsQuestion, edns: DnsEdns | undefined, rcode: number): Uint8Array {
  const { questionAt, questionEnd, flags, id } = question;
  const message = new Uint8Array(questionEnd + (edns === undefined ? 0 : DNS_OPT_BYTES));
  message.set(bytes.subarray(questionAt, questionEnd), DNS_HEADER_BYTES);
  writeU16(message, 0, id);
  writeU16(message, 2, DNS_QR | DNS_RA | (flags & (OPCODE_MASK | DNS_RD | DNS_CD)) | (rcode & 15));
  writeU16(message, 4, questionEnd > questionAt ? 1 : 0);
  if (edns !== undefined) {
    const { dnssecOk } = edns;
    appendOpt(message, questionEnd, { udpBytes: DNS_OWN_UDP_BYTES, extendedRcode: rcode >>> 4, dnssecOk });
  }
  return message;
}
