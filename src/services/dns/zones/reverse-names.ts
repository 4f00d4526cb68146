import { type Cidr, cidrContains } from '../../../wire/cidr.ts';
import { parseIpv4Address } from '../../../wire/ipv4-address.ts';
import { childKey, isAtOrBelow } from './zone-names.ts';

const SUFFIX = 'in-addr.arpa';
const OCTET = /^(0|[1-9]\d{0,2})$/;

/** Where a name of the reverse tree lies, seen from the subnet. */
type ReversePlace =
  /** An address of the subnet. */
  | { readonly kind: 'address'; readonly zone: string; readonly address: number }
  /** The zone itself. */
  | { readonly kind: 'apex'; readonly zone: string }
  /** Between the zone and its addresses: it exists, as addresses lie below it. */
  | { readonly kind: 'between'; readonly zone: string }
  /** Inside a zone of ours, and no address. */
  | { readonly kind: 'nothing'; readonly zone: string };

/**
 * The reverse tree of the subnet (RFC 1035 §3.5). A prefix that ends inside an octet owns several zones, one for each
 * value of this octet: 10.0.64.0/18 has 64.0.10.in-addr.arpa to 127.0.10.in-addr.arpa. Beyond /24 it owns no whole
 * zone: its addresses, and what lies below them, speak with the SOA of the /24's zone, and all other names of that zone
 * are somebody else's.
 */
export class ReverseNames {
  readonly #subnet: Cidr;
  /** Octets that every zone's name has. */
  readonly #zoneOctets: number;
  readonly #common: string;

  constructor(subnet: Cidr) {
    this.#subnet = subnet;
    this.#zoneOctets = Math.min(3, Math.max(1, Math.ceil(subnet.prefix / 8)));
    const whole = Math.min(3, Math.floor(subnet.prefix / 8));
    this.#common = reverseName(subnet.network, whole);
  }

  /** undefined: not ours. `key` is a key of a name. */
  place(key: string): ReversePlace | undefined {
    if (!key.endsWith(SUFFIX) || !isAtOrBelow(key, this.#common)) return undefined;
    const labels = key
      .slice(0, -SUFFIX.length - 1)
      .split('.')
      .reverse();
    const zoneLabels = labels.slice(0, this.#zoneOctets);
    if (zoneLabels.length < this.#zoneOctets || !zoneLabels.every(isOctet)) return undefined;
    const zone = `${zoneLabels.toReversed().join('.')}.${SUFFIX}`;
    const first = addressOf(zoneLabels);
    if (first === undefined) return undefined;
    const whole = this.#subnet.prefix <= 24;
    if (whole && !cidrContains(this.#subnet, first)) return undefined;
    const address = labels.length < 4 ? undefined : addressOf(labels.slice(0, 4));
    // A label with a dot in it was taken apart here; it is no octet, which matters only where the rest is not ours.
    if (!whole && key.includes('\\')) return undefined;
    if (address !== undefined && cidrContains(this.#subnet, address)) {
      return labels.length === 4 ? { kind: 'address', zone, address } : { kind: 'nothing', zone };
    }
    if (!whole) return undefined;
    if (labels.length === this.#zoneOctets) return { kind: 'apex', zone };
    return labels.length < 4 && labels.every(isOctet) ? { kind: 'between', zone } : { kind: 'nothing', zone };
  }
}

/** The name of the first `octets` of an address: '65.168.192.in-addr.arpa'. */
function reverseName(address: number, octets: number): string {
  let name = SUFFIX;
  for (let i = 0; i < octets; i++) name = childKey(String((address >>> (24 - 8 * i)) & 0xff), name);
  return name;
}

function isOctet(label: string): boolean {
  return OCTET.test(label) && Number(label) <= 255;
}

/** The first address of a block, from its octets in order. */
function addressOf(octets: readonly string[]): number | undefined {
  return parseIpv4Address([...octets, '0', '0', '0'].slice(0, 4).join('.'));
}
