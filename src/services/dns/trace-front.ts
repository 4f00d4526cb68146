import { readU16 } from '../../wire/bytes.ts';
import { DNS_NOERROR, DNS_NXDOMAIN, DNS_REFUSED, dnsRcodeName, dnsTypeName } from '../../wire/dns-message.ts';
import type { DnsQuery } from './dns-query.ts';
import type { LookupTrace } from './lookup-trace.ts';
import type { ZoneAnswer } from './zones/zone-answer.ts';

/** Tells what our zones said. */
export function traceZone(
  trace: LookupTrace,
  query: DnsQuery,
  { zone, rcode, message, aliasTarget }: ZoneAnswer,
): void {
  trace.step({ kind: 'server', server: 'internal', why: `${zone} is a zone of Slipway` });
  trace.step({ kind: 'answer', source: 'zone', rcode, why: why() });

  function why(): string {
    if (aliasTarget !== undefined) return `the zone says that the name is ${aliasTarget}, which is elsewhere`;
    if (rcode === DNS_NXDOMAIN) return 'the zone has no such name';
    if (rcode !== DNS_NOERROR) return `the zone’s CNAMEs lead nowhere (${dnsRcodeName(rcode)})`;
    if (readU16(message, 6) > 0) return 'the zone has it';
    return `the zone has the name, and no ${dnsTypeName(query.question.type)} record of it`;
  }
}

/** Tells that the internal server does not answer such names. */
export function traceRefusal(trace: LookupTrace): void {
  trace.step({ kind: 'server', server: 'internal', why: 'the question came to it' });
  const why = 'no zone of Slipway has the name, and this server answers nothing else';
  trace.step({ kind: 'answer', source: 'slipway', rcode: DNS_REFUSED, why });
}
