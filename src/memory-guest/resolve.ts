import { readU16, readU32 } from '../wire/bytes.ts';
import {
  DNS_PORT,
  DNS_TYPE_A,
  DNS_UDP_MAX_BYTES,
  DnsQuestion,
  parseDnsQuestion,
  writeDnsQuery,
} from '../wire/dns-message.ts';
import { DnsName, parseDnsName } from '../wire/dns-name.ts';
import type { GuestDatagrams } from './guest-udp.ts';

/** TYPE, CLASS, TTL and RDLENGTH of a record (RFC 1035 §3.2.1). */
const RECORD_BYTES = 10;

/** The first address of `name`, as the DNS server at `server` has it; undefined when it names none. */
export async function resolve(datagrams: GuestDatagrams, server: number, name: string): Promise<number | undefined> {
  const query = new Uint8Array(DNS_UDP_MAX_BYTES);
  const id = 1 + Math.floor(Math.random() * 0xffff);
  const length = writeDnsQuery(query, 0, query.length, id, name, DNS_TYPE_A);
  if (length < 0) return undefined;
  datagrams.send(query.subarray(0, length), DNS_PORT, server);
  for (;;) {
    const answer = await datagrams.receive();
    const question = new DnsQuestion();
    if (parseDnsQuestion(answer, 0, answer.length, question) !== undefined || question.id !== id) continue;
    return firstAddress(answer, question);
  }
}

function firstAddress(answer: Uint8Array, { questionEnd, answerCount }: DnsQuestion): number | undefined {
  const owner = new DnsName();
  let at = questionEnd;
  for (let i = 0; i < answerCount; i++) {
    if (parseDnsName(answer, 0, at, answer.length, owner) !== undefined) return undefined;
    const dataAt = owner.nextAt + RECORD_BYTES;
    if (dataAt > answer.length) return undefined;
    const dataBytes = readU16(answer, dataAt - 2);
    if (dataAt + dataBytes > answer.length) return undefined;
    if (readU16(answer, owner.nextAt) === DNS_TYPE_A && dataBytes === 4) return readU32(answer, dataAt);
    at = dataAt + dataBytes;
  }
  return undefined;
}
