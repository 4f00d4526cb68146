import { readU16, readU32, writeU16, writeU32 } from '../../wire/bytes.ts';
import { DNS_TYPE_OPT, DNS_UDP_MAX_BYTES, type DnsQuestion } from '../../wire/dns-message.ts';
import { DnsName, parseDnsName } from '../../wire/dns-name.ts';

/** What the asker's OPT record says (RFC 6891 §6.1). */
export interface Edns {
  /** Bytes of UDP payload that the asker takes, at least 512. */
  readonly udpBytes: number;
  readonly version: number;
}

/** An OPT record without options: root, type, size, extended rcode and flags, length. */
export const OPT_BYTES = 11;
/** What we take ourselves: no fragment at the smallest MTU in use (RFC 6891 §6.2.5, and the 2020 flag day's 1,232). */
const OWN_UDP_BYTES = 1232;

/** Looks for the OPT record behind the question; undefined when there is none or the records are broken. */
export function findEdns(bytes: Uint8Array, question: DnsQuestion, end: number): Edns | undefined {
  const name = new DnsName();
  const records = question.answerCount + question.authorityCount + question.additionalCount;
  let at = question.questionEnd;
  for (let i = 0; i < records; i++) {
    if (parseDnsName(bytes, 0, at, end, name) !== undefined || end - name.nextAt < 10) return undefined;
    const fixedAt = name.nextAt;
    if (name.text === '' && readU16(bytes, fixedAt) === DNS_TYPE_OPT) {
      return {
        udpBytes: Math.max(DNS_UDP_MAX_BYTES, readU16(bytes, fixedAt + 2)),
        version: (readU32(bytes, fixedAt + 4) >>> 16) & 0xff,
      };
    }
    at = fixedAt + 10 + readU16(bytes, fixedAt + 8);
  }
  return undefined;
}

/** Appends our OPT record to the finished answer [0, length); `extendedRcode` 1 says BADVERS. Returns the new length. */
export function appendOpt(bytes: Uint8Array, length: number, extendedRcode: number): number {
  bytes[length] = 0;
  writeU16(bytes, length + 1, DNS_TYPE_OPT);
  writeU16(bytes, length + 3, OWN_UDP_BYTES);
  writeU32(bytes, length + 5, extendedRcode << 24);
  writeU16(bytes, length + 9, 0);
  writeU16(bytes, 10, readU16(bytes, 10) + 1);
  return length + OPT_BYTES;
}
