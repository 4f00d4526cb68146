import type { DnsHost } from '../../../config/dns.ts';
import { type DnsData, dataTypeNumber } from '../../../wire/dns-data.ts';
import { DNS_AA, DNS_NOERROR, DNS_TYPE_ANY } from '../../../wire/dns-message.ts';
import { dnsNameKey } from '../../../wire/dns-name.ts';
import { reverseIpv4Name, reverseIpv6Name } from '../../../wire/dns-reverse-name.ts';
import type { DnsQuery } from '../dns-query.ts';
import { addressData, authored, soaOf } from './authored-answer.ts';
import type { Answer, Source } from './source.ts';

/**
 * The configured hosts (`dns.hosts`): their addresses, and the name of each address (the first that has it). A name
 * that is here has nothing else (NODATA), so that what the world says of it (an HTTPS record with addresses) does not
 * contradict. Each name is a zone of its own: nothing is said of the names around it.
 */
export class ConfiguredHosts implements Source {
  readonly #ttlSeconds: number;
  readonly #records = new Map<string, DnsData[]>();

  constructor(hosts: readonly DnsHost[], ttlSeconds: number) {
    this.#ttlSeconds = ttlSeconds;
    for (const { name, addresses } of hosts) {
      const own = this.#of(dnsNameKey(name));
      for (const data of addresses.map(addressData)) {
        if (data === undefined) continue;
        own.push(data);
        const pointers = this.#of(data.type === 'A' ? reverseIpv4Name(data.address) : reverseIpv6Name(data.address));
        if (pointers.length === 0) pointers.push({ type: 'PTR', target: dnsNameKey(name) });
      }
    }
  }

  answer(query: DnsQuery): Answer | undefined {
    const records = this.#records.get(query.name);
    if (records === undefined) return undefined;
    const { type, name } = query.question;
    const ttlSeconds = this.#ttlSeconds;
    const all: DnsData[] = [...records, { type: 'SOA', soa: soaOf(name, ttlSeconds) }];
    const asked = all.filter((data) => type === DNS_TYPE_ANY || dataTypeNumber(data) === type);
    const what = { rcode: DNS_NOERROR, flags: DNS_AA, ttlSeconds, records: asked, zone: name };
    return authored(query, what, { source: 'host-record', why: 'it has this name' });
  }

  #of(key: string): DnsData[] {
    const records = this.#records.get(key) ?? [];
    this.#records.set(key, records);
    return records;
  }
}
