import { describeData } from '../../wire/dns-data.ts';
import { type DnsExtendedError, findEdns, findExtendedError } from '../../wire/dns-edns.ts';
import {
  DNS_AA,
  DNS_AD,
  DNS_CLASS_IN,
  DNS_TYPE_OPT,
  DnsQuestion,
  dnsRcodeName,
  dnsTypeName,
  parseDnsQuestion,
} from '../../wire/dns-message.ts';
import { DnsName, parseDnsName } from '../../wire/dns-name.ts';
import { DnsRecordCursor, DnsRecords, type DnsSection } from '../../wire/dns-record.ts';

/** A record as zone files have it. */
export interface DescribedRecord {
  /** With the last dot. */
  readonly name: string;
  readonly ttlSeconds: number;
  readonly type: string;
  readonly data: string;
}

/** An answer as people read it. Plain data. */
export interface DescribedMessage {
  readonly rcode: string;
  /** The zone's own word (AA), and that somebody checked the signatures (AD). */
  readonly authoritative: boolean;
  readonly authenticated: boolean;
  readonly answer: readonly DescribedRecord[];
  readonly authority: readonly DescribedRecord[];
  readonly additional: readonly DescribedRecord[];
  readonly extendedError?: DnsExtendedError | undefined;
}

/** Describes a well-formed answer. Leaves out what follows a broken record. Never throws. */
export function describeMessage(message: Uint8Array): DescribedMessage {
  const question = new DnsQuestion();
  parseDnsQuestion(message, 0, message.length, question);
  const found = findEdns(message, question, message.length);
  const edns = found === 'dns-bad-edns' ? undefined : found;
  const error = edns === undefined ? undefined : findExtendedError(message, edns);
  const sections: Record<DnsSection, DescribedRecord[]> = { answer: [], authority: [], additional: [] };
  const records = new DnsRecords();
  const cursor = new DnsRecordCursor();
  const owner = new DnsName();
  records.start(message, 0, message.length, question);
  while (records.next(cursor)) {
    const { section, ownerAt, type, ttlSeconds, dataAt, dataLength } = cursor;
    if (type === DNS_TYPE_OPT || cursor.class !== DNS_CLASS_IN) continue;
    if (parseDnsName(message, 0, ownerAt, message.length, owner) !== undefined) continue;
    sections[section].push({
      name: `${owner.text}.`,
      ttlSeconds,
      type: dnsTypeName(type),
      data: describeData(message, 0, message.length, type, dataAt, dataLength),
    });
  }
  return {
    rcode: dnsRcodeName(((edns?.extendedRcode ?? 0) << 4) | question.rcode),
    authoritative: (question.flags & DNS_AA) !== 0,
    authenticated: (question.flags & DNS_AD) !== 0,
    ...sections,
    ...(error !== undefined && { extendedError: { code: error.code, text: shownText(error.text) } }),
  };
}

/**
 * A nameserver's text for a terminal: characters that would move the cursor or reverse the line are shown as numbers.
 */
function shownText(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}
