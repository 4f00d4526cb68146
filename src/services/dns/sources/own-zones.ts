import type { Counters } from '../../../env/counters.ts';
import { readU16, writeU16 } from '../../../wire/bytes.ts';
import {
  DNS_CD,
  DNS_HEADER_BYTES,
  DNS_NOERROR,
  DNS_NXDOMAIN,
  DNS_RD,
  DNS_SERVFAIL,
  DnsQuestion,
  dnsRcodeName,
  dnsTypeName,
  parseDnsQuestion,
  writeDnsQuery,
} from '../../../wire/dns-message.ts';
import { DNS_MAX_NAME_BYTES, dnsNameKey } from '../../../wire/dns-name.ts';
import type { DnsQuery } from '../dns-query.ts';
import { joinedAnswer } from '../joined-answer.ts';
import type { TraceStep } from '../lookup-trace.ts';
import type { ZoneAnswer } from '../zones/zone-answer.ts';
import type { ZoneStore } from '../zones/zone-store.ts';
import { authored } from './authored-answer.ts';
import type { Answer, Ask, Source } from './source.ts';

/** Offset of ANCOUNT in the header. */
const ANSWER_COUNT_AT = 6;

interface OwnZonesOptions {
  readonly zones: Pick<ZoneStore, 'answer'>;
  /** Resolves what a CNAME of ours leads to elsewhere. */
  readonly elsewhere: Ask;
  /** Which server answers names that no zone has, and why. */
  readonly passed: TraceStep & { readonly kind: 'server' };
  readonly counters: Counters;
}

/**
 * Slipway's own zones: built-in names, names of guests and of services, and what configuration and API set. They answer
 * at once.
 */
export class OwnZones implements Source {
  readonly passed: TraceStep;
  readonly #options: OwnZonesOptions;

  constructor(options: OwnZonesOptions) {
    this.#options = options;
    this.passed = options.passed;
  }

  answer(query: DnsQuery): Answer | Promise<Answer> | undefined {
    const { zones, counters } = this.#options;
    const found = zones.answer(query);
    if (found === undefined) return undefined;
    counters.add('dns-zone-answer');
    query.trace?.step({ kind: 'server', server: 'internal', why: `${found.zone} is a zone of Slipway` });
    const { message, rcode, aliasTarget } = found;
    const why = reason(query, found);
    if (aliasTarget === undefined) return { message, rcode, source: 'zone', why };
    query.trace?.step({ kind: 'answer', source: 'zone', rcode, why });
    return this.#complete(query, found, aliasTarget);
  }

  /**
   * A name of ours that is another name elsewhere: the rest of the answer comes from there, and leads nowhere further.
   */
  async #complete(query: DnsQuery, { message }: ZoneAnswer, target: string): Promise<Answer> {
    const { elsewhere, counters } = this.#options;
    query.trace?.step({ kind: 'server', server: 'system', why: `no zone of Slipway has ${target}` });
    const rest = await elsewhere(queryFor(query, target));
    const joined = joinedAnswer(message, rest.message);
    if (joined !== undefined) return { ...rest, message: joined };
    counters.add('dns-bad-answer');
    return authored(query, { rcode: DNS_SERVFAIL }, { source: 'slipway', why: 'the answer from elsewhere is broken' });
  }
}

function reason(query: DnsQuery, { rcode, message, aliasTarget }: ZoneAnswer): string {
  if (aliasTarget !== undefined) return `the zone says that the name is ${aliasTarget}, which is elsewhere`;
  if (rcode === DNS_NXDOMAIN) return 'the zone has no such name';
  if (rcode !== DNS_NOERROR) return `the zone’s CNAMEs lead nowhere (${dnsRcodeName(rcode)})`;
  if (readU16(message, ANSWER_COUNT_AT) > 0) return 'the zone has it';
  return `the zone has the name, and no ${dnsTypeName(query.question.type)} record of it`;
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
