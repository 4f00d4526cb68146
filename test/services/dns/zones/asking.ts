import type { DnsQuery } from '../../../../src/services/dns/dns-query.ts';
import { builtinZones } from '../../../../src/services/dns/zones/builtin-zones.ts';
import { ZoneStore } from '../../../../src/services/dns/zones/zone-store.ts';
import { parseCidr } from '../../../../src/wire/cidr.ts';
import type { DnsData } from '../../../../src/wire/dns-data.ts';
import { describeData } from '../../../../src/wire/dns-data.ts';
import { findEdns } from '../../../../src/wire/dns-edns.ts';
import {
  DnsQuestion,
  dnsRcodeName,
  dnsTypeName,
  dnsTypeNumber,
  parseDnsQuestion,
  writeDnsQuery,
} from '../../../../src/wire/dns-message.ts';
import { DnsName, dnsNameKey, parseDnsName } from '../../../../src/wire/dns-name.ts';
import { DnsRecordCursor, DnsRecords } from '../../../../src/wire/dns-record.ts';
import { parseIpv4Address } from '../../../../src/wire/ipv4-address.ts';

/** A query as the front hands it on; undefined when the bytes are none. */
export function queryFrom(bytes: Uint8Array): DnsQuery | undefined {
  const question = new DnsQuestion();
  if (parseDnsQuestion(bytes, 0, bytes.length, question) !== undefined) return undefined;
  const edns = findEdns(bytes, question, bytes.length);
  if (edns === 'dns-bad-edns') return undefined;
  const dnssecOk = edns?.dnssecOk ?? false;
  return { bytes, question, name: dnsNameKey(question.name), edns, dnssecOk, checkingDisabled: false };
}

export function query(name: string, type: string): DnsQuery {
  const bytes = new Uint8Array(512);
  const length = writeDnsQuery(bytes, 0, bytes.length, 7, name, dnsTypeNumber(type) ?? 0);
  const made = queryFrom(bytes.slice(0, length));
  if (length < 0 || made === undefined) throw new Error(`no query: ${name} ${type}`);
  return made;
}

/** An answer as text: 'host.docker.internal 10 A 192.168.65.254'. */
export interface Said {
  readonly rcode: string;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  readonly answer: string[];
  readonly authority: string[];
  readonly additional: string[];
  readonly aliasTarget: string | undefined;
}

/** What the store says; undefined for what is not its own. */
export function ask(store: ZoneStore, name: string, type: string, maxBytes?: number): Said | undefined {
  const answer = store.answer(query(name, type), maxBytes);
  if (answer === undefined) return undefined;
  const { message } = answer;
  const question = new DnsQuestion();
  if (parseDnsQuestion(message, 0, message.length, question) !== undefined) throw new Error('a broken answer');
  const said: Said = {
    rcode: dnsRcodeName(question.rcode),
    authoritative: (question.flags & 0x0400) !== 0,
    truncated: question.truncated,
    answer: [],
    authority: [],
    additional: [],
    aliasTarget: answer.aliasTarget,
  };
  if (question.rcode !== answer.rcode) throw new Error('two rcodes');
  const records = new DnsRecords();
  const cursor = new DnsRecordCursor();
  records.start(message, 0, message.length, question);
  while (records.next(cursor)) {
    const owner = new DnsName();
    parseDnsName(message, 0, cursor.ownerAt, message.length, owner);
    const { type: number, dataAt, dataLength, ttlSeconds } = cursor;
    const data = describeData(message, 0, message.length, number, dataAt, dataLength);
    said[cursor.section].push(`${owner.text} ${ttlSeconds} ${dnsTypeName(number)} ${data}`);
  }
  if (records.fault !== undefined) throw new Error(records.fault);
  return said;
}

export function address(text: string): number {
  const parsed = parseIpv4Address(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

export function a(text: string): DnsData {
  return { type: 'A', address: address(text) };
}

export function txt(text: string): DnsData {
  return { type: 'TXT', texts: [new TextEncoder().encode(text)] };
}

export function cname(target: string): DnsData {
  return { type: 'CNAME', target };
}

/** A store with the built-in zones of a subnet. */
export function builtInStore(subnet: string, hostNames: readonly string[] = []): ZoneStore {
  const cidr = parseCidr(subnet);
  if (cidr === undefined) throw new Error(subnet);
  const builtIn = builtinZones({
    subnet: cidr,
    gateway: cidr.network + 1,
    hostAddress: cidr.broadcast - 1,
    hostNames,
    gatewayNames: [],
  });
  return new ZoneStore({ defaultTtlSeconds: 10, builtIn });
}
