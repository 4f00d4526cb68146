import type { DnsData } from '../../../wire/dns-data.ts';
import {
  DNS_AA,
  DNS_MAX_MESSAGE_BYTES,
  DNS_NOERROR,
  DNS_NXDOMAIN,
  DNS_SERVFAIL,
  DNS_TYPE_A,
  DNS_TYPE_AAAA,
  DNS_TYPE_ANY,
  DNS_TYPE_CNAME,
} from '../../../wire/dns-message.ts';
import { dnsNameKey } from '../../../wire/dns-name.ts';
import { DnsWriter } from '../../../wire/dns-writer.ts';
import type { DnsQuery } from '../dns-query.ts';
import { type Authority, NO_SETS, type RecordSet } from './zone.ts';

/** CNAMEs after each other. Resolvers give up between 8 (glibc's own limit of old) and 16 (BIND). */
const MAX_ALIASES = 16;

/** What our zones say to a question. */
export interface ZoneAnswer {
  /** The whole answer, not yet fitted to the asker: no OPT record, RA not set, AA set. The caller owns it. */
  readonly message: Uint8Array;
  readonly rcode: number;
  /**
   * Name of the zone that decided: where the question's name lies, or the last name of a chain of CNAMEs that is ours.
   */
  readonly zone: string;
  /**
   * The chain of CNAMEs, which is all of `message`, leads to this name, which is not ours: whoever can resolve it
   * asks for it with the question's type and appends what comes to the message's answers. As written in the record;
   * `dnsNameKey` of it is no name of ours.
   */
  readonly aliasTarget: string | undefined;
}

/** What there is at a name of ours. */
export interface Finding {
  readonly authority: Authority;
  /** Of the name, all types; undefined when it does not exist (NXDOMAIN). */
  readonly sets: readonly RecordSet[] | undefined;
}

/** Looks a name up in all our zones; undefined when it is not ours. */
type ZoneLookup = (key: string) => Finding | undefined;

interface Owned {
  readonly owner: string;
  readonly set: RecordSet;
}

/** What an answer says. */
interface Content {
  readonly authority: Authority;
  readonly answers: readonly Owned[];
  readonly rcode: number;
  readonly aliasTarget?: string;
}

/**
 * Makes answers as an authoritative server does (RFC 1034 §4.3.2), with CNAMEs followed through all zones of ours.
 * ANY is answered with all that is there: RFC 8482 wants it small against reflection, which a guest's network has not.
 */
export class ZoneAnswers {
  readonly #lookup: ZoneLookup;
  readonly #bytes = new Uint8Array(DNS_MAX_MESSAGE_BYTES);
  readonly #writer = new DnsWriter(this.#bytes);

  constructor(lookup: ZoneLookup) {
    this.#lookup = lookup;
  }

  /**
   * Undefined when the name is not ours. `maxBytes`: at least 512; TC is set when answers or authority do not fit.
   * Never throws.
   */
  answer(query: DnsQuery, maxBytes: number): ZoneAnswer | undefined {
    const first = this.#lookup(query.name);
    if (first === undefined) return undefined;
    const { type } = query.question;
    const answers: Owned[] = [];
    let owner = query.question.name;
    let found = first;
    for (;;) {
      const alias = aliasOf(found.sets, type);
      if (alias === undefined) break;
      answers.push({ owner, set: alias.set });
      owner = alias.target;
      // "CNAME loops [are] signalled as an error" (RFC 1034 §3.6.2).
      if (answers.length > MAX_ALIASES)
        return this.#write(query, maxBytes, { ...found, answers: [], rcode: DNS_SERVFAIL });
      const next = this.#lookup(dnsNameKey(owner));
      if (next === undefined) {
        return this.#write(query, maxBytes, { ...found, answers, rcode: DNS_NOERROR, aliasTarget: owner });
      }
      found = next;
    }
    const { sets } = found;
    for (const set of sets ?? NO_SETS) if (set.type === type || type === DNS_TYPE_ANY) answers.push({ owner, set });
    // The rcode is that of the chain's last name (RFC 6604 §3).
    return this.#write(query, maxBytes, { ...found, answers, rcode: sets === undefined ? DNS_NXDOMAIN : DNS_NOERROR });
  }

  #write(query: DnsQuery, maxBytes: number, { authority, answers, rcode, aliasTarget }: Content): ZoneAnswer {
    const writer = this.#writer;
    const { name, ttlSeconds, soa } = authority;
    writer.start(0, Math.min(maxBytes, DNS_MAX_MESSAGE_BYTES), query.bytes, query.question, rcode, DNS_AA);
    for (const { owner, set } of answers) for (const data of set.data) writer.answer(owner, set.ttlSeconds, data);
    if (aliasTarget === undefined && rcode !== DNS_SERVFAIL && isNegative(answers, query.question.type)) {
      writer.authority(name, ttlSeconds, { type: 'SOA', soa });
    }
    this.#writeAdditional(answers);
    return { message: this.#bytes.slice(0, writer.finish()), rcode, zone: name, aliasTarget };
  }

  /** The addresses of what the answer points to, where they are ours (RFC 1035 §3.3.9, RFC 2782). */
  #writeAdditional(answers: readonly Owned[]): void {
    let written: Set<string> | undefined;
    for (const { set } of answers) {
      for (const data of set.data) {
        const target = targetOf(data);
        if (target === undefined) continue;
        const key = dnsNameKey(target);
        written ??= new Set();
        if (written.has(key)) continue;
        written.add(key);
        for (const { type, ttlSeconds, data: addresses } of this.#lookup(key)?.sets ?? NO_SETS) {
          if (type !== DNS_TYPE_A && type !== DNS_TYPE_AAAA) continue;
          for (const address of addresses) this.#writer.additional(target, ttlSeconds, address);
        }
      }
    }
  }
}

/** The CNAME to follow: there is one, and it is not what was asked for. */
function aliasOf(
  sets: readonly RecordSet[] | undefined,
  type: number,
): { readonly set: RecordSet; readonly target: string } | undefined {
  if (sets === undefined || type === DNS_TYPE_CNAME || type === DNS_TYPE_ANY) return undefined;
  for (const set of sets) {
    const data = set.data[0];
    if (data?.type === 'CNAME') return { set, target: data.target };
  }
  return undefined;
}

/** Whether the last name has nothing of the type: NXDOMAIN and NODATA, behind CNAMEs too (RFC 2308 §2.1, §2.2.1). */
function isNegative(answers: readonly Owned[], type: number): boolean {
  const last = answers.at(-1);
  return last === undefined || (last.set.type !== type && type !== DNS_TYPE_ANY);
}

function targetOf(data: DnsData): string | undefined {
  if (data.type === 'SRV') return data.target;
  if (data.type === 'MX') return data.exchange;
  return data.type === 'NS' ? data.target : undefined;
}
