import type { Counters } from '../../env/counters.ts';
import {
  DNS_AA,
  DNS_CLASS_IN,
  DNS_FORMERR,
  DNS_NOERROR,
  DNS_NOTIMP,
  DNS_NXDOMAIN,
  DNS_RA,
  DNS_REFUSED,
  DNS_SERVFAIL,
  DNS_TYPE_A,
  DNS_TYPE_AAAA,
  DNS_TYPE_OPT,
  DNS_TYPE_PTR,
  DNS_UDP_MAX_BYTES,
  DnsQuestion,
  DnsWriter,
  parseDnsQuestion,
} from '../../wire/dns-message.ts';
import { parseIpv4Address } from '../../wire/ipv4-address.ts';
import { appendOpt, type Edns, findEdns, OPT_BYTES } from './edns.ts';
import { Forwarder, type Nameserver, truncated } from './forwarder.ts';
import { HostResolver } from './host-resolver.ts';
import { ipv6Bytes } from './ipv6-bytes.ts';
import { OwnNames, type OwnNamesOptions } from './own-names.ts';

/** Largest message over TCP (RFC 1035 §4.2.2). */
const STREAM_MAX_BYTES = 65_535;
/** Largest that we send in one datagram, whatever the asker takes. */
const DATAGRAM_MAX_BYTES = 4096;
/** BADVERS is 16 (RFC 6891 §6.1.3): 1 in the upper bits, 0 in the lower four. */
const BADVERS_UPPER = 1;

/** Zone transfers are no question that a resolver answers (RFC 5936). */
const TYPE_IXFR = 251;
const TYPE_AXFR = 252;

export interface DnsServiceOptions extends OwnNamesOptions {
  /** Lifetime of what the host's resolver says: it tells none. */
  readonly ttlSeconds: number;
  /** Questions at once. Beyond, the answer is SERVFAIL at once ('dns-busy'): the asker tries again. */
  readonly lookups: number;
  readonly counters: Counters;
  /** The host's nameservers now, for the types that getaddrinfo does not know. */
  readonly nameservers: () => readonly Nameserver[];
}

export type DnsTransport = 'udp' | 'tcp';

/** A question on its way to its answer. */
interface Asked {
  readonly bytes: Uint8Array;
  readonly question: DnsQuestion;
  readonly edns: Edns | undefined;
  readonly transport: DnsTransport;
}

/**
 * The DNS server at the gateway. It answers its own names itself, A and AAAA of all others as the host's resolver does,
 * and puts every other type to the host's nameservers as it came. Guest bytes never make it throw.
 *
 * Left out so far: a cache, negative answers with SOA, DNSSEC (DO is not passed on for A and AAAA).
 */
export class DnsService {
  readonly #options: DnsServiceOptions;
  readonly #own: OwnNames;
  readonly #resolver = new HostResolver();
  readonly #forwarder: Forwarder;
  #inFlight = 0;

  constructor(options: DnsServiceOptions) {
    this.#options = options;
    this.#own = new OwnNames(options);
    this.#forwarder = new Forwarder(options.nameservers);
  }

  /** The answer to a message; undefined for what gets none (no header, or itself an answer). Never rejects. */
  async answer(bytes: Uint8Array, transport: DnsTransport): Promise<Uint8Array | undefined> {
    const { counters, lookups } = this.#options;
    const question = new DnsQuestion();
    const fault = parseDnsQuestion(bytes, 0, bytes.length, question);
    if (fault !== undefined) counters.add(fault);
    if (fault === 'dns-truncated' || question.response) return undefined;
    const edns = fault === undefined ? findEdns(bytes, question, bytes.length) : undefined;
    const asked: Asked = { bytes, question, edns, transport };
    if (question.opcode !== 0) return this.#reply(asked, DNS_NOTIMP);
    if (fault !== undefined || question.type === DNS_TYPE_OPT) return this.#reply(asked, DNS_FORMERR);
    if (edns !== undefined && edns.version !== 0) return this.#reply(asked, DNS_NOERROR, undefined, BADVERS_UPPER);
    if (question.class !== DNS_CLASS_IN || question.type === TYPE_AXFR || question.type === TYPE_IXFR) {
      return this.#reply(asked, DNS_REFUSED);
    }
    const own = this.#fromOwnNames(asked);
    if (own !== undefined) return own;
    if (this.#inFlight >= lookups) {
      counters.add('dns-busy');
      return this.#reply(asked, DNS_SERVFAIL);
    }
    this.#inFlight++;
    try {
      return await this.#fromHost(asked);
    } catch {
      // A defect costs the one answer, never the process.
      counters.add('dns-defect');
      return this.#reply(asked, DNS_SERVFAIL);
    } finally {
      this.#inFlight--;
    }
  }

  #fromOwnNames(asked: Asked): Uint8Array | undefined {
    const { name, type } = asked.question;
    const { ttlSeconds } = this.#options;
    const address = this.#own.address(name);
    if (address !== undefined) {
      // They have no other record, and say so (NODATA): a guest that asks for AAAA first goes on to A.
      return this.#reply(
        asked,
        DNS_NOERROR,
        (writer) => {
          if (type === DNS_TYPE_A) writer.a(name, ttlSeconds, address);
        },
        0,
        DNS_AA,
      );
    }
    const pointer = this.#own.pointer(name);
    if (pointer === undefined) return undefined;
    if (pointer === null) return this.#reply(asked, DNS_NXDOMAIN, undefined, 0, DNS_AA);
    return this.#reply(
      asked,
      DNS_NOERROR,
      (writer) => {
        if (type === DNS_TYPE_PTR) writer.ptr(name, ttlSeconds, pointer);
      },
      0,
      DNS_AA,
    );
  }

  async #fromHost(asked: Asked): Promise<Uint8Array> {
    const { name, type } = asked.question;
    const addresses = type === DNS_TYPE_A || type === DNS_TYPE_AAAA;
    if (!addresses || !isLookupName(name)) return this.#forward(asked);
    // getaddrinfo would read it as an address, and 1.2.3 as 1.2.0.3.
    if (/^(0x[0-9a-f]*|\d+)$/i.test(name.split('.').at(-1) ?? '')) return this.#reply(asked, DNS_NXDOMAIN);
    const answer = await this.#resolver.resolve(name, type === DNS_TYPE_A ? 4 : 6);
    if (answer === 'no-such-name') return this.#reply(asked, DNS_NXDOMAIN);
    if (answer === 'failed') {
      this.#options.counters.add('dns-host-lookup-failed');
      return this.#reply(asked, DNS_SERVFAIL);
    }
    return this.#reply(asked, DNS_NOERROR, (writer) => this.#addAddresses(writer, name, type, answer));
  }

  #addAddresses(writer: DnsWriter, name: string, type: number, addresses: readonly string[]): void {
    const { ttlSeconds } = this.#options;
    for (const text of addresses) {
      if (type === DNS_TYPE_A) {
        const address = parseIpv4Address(text);
        if (address !== undefined) writer.a(name, ttlSeconds, address);
      } else {
        const address = ipv6Bytes(text);
        if (address !== undefined) writer.aaaa(name, ttlSeconds, address);
      }
    }
  }

  async #forward(asked: Asked): Promise<Uint8Array> {
    const answer = await this.#forwarder.ask(asked.bytes, asked.transport === 'tcp');
    if (answer === undefined) {
      this.#options.counters.add('dns-no-nameserver-answered');
      return this.#reply(asked, DNS_SERVFAIL);
    }
    return answer.length > maxBytes(asked) ? truncated(answer) : answer;
  }

  #reply(asked: Asked, rcode: number, fill?: (writer: DnsWriter) => void, upperRcode = 0, flags = 0): Uint8Array {
    const { bytes, question, edns } = asked;
    const max = maxBytes(asked);
    const message = new Uint8Array(max);
    const writer = new DnsWriter(message);
    writer.start(0, edns === undefined ? max : max - OPT_BYTES, bytes, question, rcode, flags | DNS_RA);
    fill?.(writer);
    const length = writer.finish();
    return message.slice(0, edns === undefined ? length : appendOpt(message, length, upperRcode));
  }
}

function maxBytes({ transport, edns }: Asked): number {
  if (transport === 'tcp') return STREAM_MAX_BYTES;
  return Math.min(edns?.udpBytes ?? DNS_UDP_MAX_BYTES, DATAGRAM_MAX_BYTES);
}

/** What may be handed to getaddrinfo; anything else (escaped octets, the root) goes to a nameserver as it is. */
function isLookupName(name: string): boolean {
  return name !== '' && /^[a-z0-9_.-]+$/i.test(name);
}
