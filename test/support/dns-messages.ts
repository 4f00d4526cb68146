import assert from 'node:assert/strict';
import type { DnsQuery } from '../../src/services/dns/dns-query.ts';
import { readU16, writeU16 } from '../../src/wire/bytes.ts';
import { type DnsData, describeData } from '../../src/wire/dns-data.ts';
import { appendOpt, type DnsEdns, findEdns } from '../../src/wire/dns-edns.ts';
import { DnsQuestion, dnsTypeName, parseDnsQuestion, writeDnsQuery } from '../../src/wire/dns-message.ts';
import { DnsName, dnsNameKey, parseDnsName } from '../../src/wire/dns-name.ts';
import { DnsRecordCursor, DnsRecords } from '../../src/wire/dns-record.ts';
import { DnsWriter } from '../../src/wire/dns-writer.ts';

/** Messages as the tests of the front write and read them, by the real codec. */

export interface Question {
  readonly id?: number;
  /** DNS_RD unless told. */
  readonly flags?: number;
  /** Absent: no OPT record. */
  readonly edns?: { readonly udpBytes?: number; readonly dnssecOk?: boolean; readonly version?: number };
}

export function queryBytes(name: string, type: number, { id = 0x1234, flags, edns }: Question = {}): Uint8Array {
  const bytes = new Uint8Array(600);
  const length = writeDnsQuery(bytes, 0, bytes.length, id, name, type);
  assert.ok(length > 0, name);
  if (flags !== undefined) writeU16(bytes, 2, flags);
  if (edns === undefined) return bytes.slice(0, length);
  const { udpBytes = 1232, dnssecOk = false, version = 0 } = edns;
  const end = appendOpt(bytes, length, { udpBytes, extendedRcode: 0, dnssecOk });
  bytes[length + 6] = version;
  return bytes.slice(0, end);
}

/** A query as the front hands it on. */
export function dnsQuery(bytes: Uint8Array): DnsQuery {
  const question = new DnsQuestion();
  assert.equal(parseDnsQuestion(bytes, 0, bytes.length, question), undefined);
  const edns = findEdns(bytes, question, bytes.length);
  assert.notEqual(edns, 'dns-bad-edns');
  return {
    bytes,
    question,
    name: dnsNameKey(question.name),
    edns: edns as DnsEdns | undefined,
    dnssecOk: (edns as DnsEdns | undefined)?.dnssecOk ?? false,
    checkingDisabled: (question.flags & 0x10) !== 0,
  };
}

export interface OwnedData {
  readonly owner: string;
  readonly data: DnsData;
}

/** An answer to `query`, TTL 60. */
export function answerBytes(
  query: Uint8Array,
  records: {
    readonly answers?: readonly OwnedData[];
    readonly authorities?: readonly OwnedData[];
    readonly additionals?: readonly OwnedData[];
  },
  flags = 0,
  rcode = 0,
): Uint8Array {
  const bytes = new Uint8Array(65_535);
  const writer = new DnsWriter(bytes);
  writer.start(0, bytes.length, query, dnsQuery(query).question, rcode, flags);
  for (const { owner, data } of records.answers ?? []) assert.ok(writer.answer(owner, 60, data));
  for (const { owner, data } of records.authorities ?? []) assert.ok(writer.authority(owner, 60, data));
  for (const { owner, data } of records.additionals ?? []) assert.ok(writer.additional(owner, 60, data));
  return bytes.slice(0, writer.finish());
}

export interface Read {
  readonly head: DnsQuestion;
  readonly edns: DnsEdns | undefined;
  /** "answer host.example A 10.0.0.1" */
  readonly records: readonly string[];
}

/** Reads a message that must be whole and well-formed to its last byte. */
export function readMessage(bytes: Uint8Array): Read {
  const head = new DnsQuestion();
  const fault = parseDnsQuestion(bytes, 0, bytes.length, head);
  // An answer to what had no question has none either.
  if (fault !== undefined) assert.equal(readU16(bytes, 4), 0, fault);
  const edns = findEdns(bytes, head, bytes.length);
  assert.notEqual(edns, 'dns-bad-edns');
  const walk = new DnsRecords();
  const cursor = new DnsRecordCursor();
  const name = new DnsName();
  const records: string[] = [];
  let end = head.questionEnd;
  walk.start(bytes, 0, bytes.length, head);
  while (walk.next(cursor)) {
    assert.equal(parseDnsName(bytes, 0, cursor.ownerAt, bytes.length, name), undefined);
    end = cursor.nextAt;
    if (cursor.type === 41) continue;
    const data = describeData(bytes, 0, bytes.length, cursor.type, cursor.dataAt, cursor.dataLength);
    records.push(`${cursor.section} ${name.text} ${dnsTypeName(cursor.type)} ${data}`);
  }
  assert.equal(walk.fault, undefined);
  assert.equal(end, bytes.length);
  return { head, edns: edns as DnsEdns | undefined, records };
}
