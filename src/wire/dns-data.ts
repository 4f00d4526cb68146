import {
  DNS_TYPE_A,
  DNS_TYPE_AAAA,
  DNS_TYPE_CNAME,
  DNS_TYPE_MX,
  DNS_TYPE_NS,
  DNS_TYPE_PTR,
  DNS_TYPE_SOA,
  DNS_TYPE_SRV,
  DNS_TYPE_TXT,
} from './dns-message.ts';

/** The fields of an SOA record (RFC 1035 §3.3.13), which a negative answer carries (RFC 2308 §3). */
export interface DnsSoa {
  readonly mname: string;
  readonly rname: string;
  readonly serial: number;
  readonly refreshSeconds: number;
  readonly retrySeconds: number;
  readonly expireSeconds: number;
  /** How long a negative answer may be kept. */
  readonly minimumSeconds: number;
}

/** The data of a record of ours, by type (RFC 1035 §3.3, RFC 3596 §2.2, RFC 2782). Names are text as in `dns-name.ts`. */
export type DnsData =
  /** An IPv4 address, unsigned 32 bits. */
  | { readonly type: 'A'; readonly address: number }
  /** 16 bytes. */
  | { readonly type: 'AAAA'; readonly address: Uint8Array }
  | { readonly type: 'CNAME' | 'PTR' | 'NS'; readonly target: string }
  /** At least one string, each of at most 255 octets. */
  | { readonly type: 'TXT'; readonly texts: readonly Uint8Array[] }
  | {
      readonly type: 'SRV';
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      /** '' says that the service is decidedly not there. */
      readonly target: string;
    }
  | { readonly type: 'MX'; readonly preference: number; readonly exchange: string }
  | { readonly type: 'SOA'; readonly soa: DnsSoa };

const TYPE_NUMBERS: Readonly<Record<DnsData['type'], number>> = {
  A: DNS_TYPE_A,
  AAAA: DNS_TYPE_AAAA,
  CNAME: DNS_TYPE_CNAME,
  MX: DNS_TYPE_MX,
  NS: DNS_TYPE_NS,
  PTR: DNS_TYPE_PTR,
  SOA: DNS_TYPE_SOA,
  SRV: DNS_TYPE_SRV,
  TXT: DNS_TYPE_TXT,
};

/** The type's number on the wire. */
export function dataTypeNumber(data: DnsData): number {
  return TYPE_NUMBERS[data.type];
}

/**
 * The data of a record as people write it in zone files: `10 mail.example.` for an MX. It lies at [dataAt, dataAt + dataLength) of the
 * message [messageAt, end). Types without a form here, and data that does not have the form of its type, are shown in hex (RFC 3597 §5).
 */
export function describeData(
  bytes: Uint8Array,
  messageAt: number,
  end: number,
  type: number,
  dataAt: number,
  dataLength: number,
): string {
  void messageAt;
  void type;
  const octets = [...bytes.subarray(dataAt, Math.min(end, dataAt + dataLength))];
  return `\\# ${octets.length} ${octets.map((octet) => octet.toString(16).padStart(2, '0')).join('')}`.trimEnd();
}
