import { DNS_NXDOMAIN } from '../../../wire/dns-message.ts';
import { authored } from './authored-answer.ts';
import { asksTheHost, lookupNameKind } from './lookup-name.ts';
import type { Source } from './source.ts';

/** Names that inet_aton(3) reads as an address do not exist: no program of the host would look them up. */
export function addressLiterals(ttlSeconds: number): Source {
  return {
    answer: (query) => {
      if (!asksTheHost(query) || lookupNameKind(query.name) !== 'address') return undefined;
      const provenance = { source: 'slipway', why: 'the name reads as an address', lifeSeconds: ttlSeconds } as const;
      return authored(query, { rcode: DNS_NXDOMAIN }, provenance);
    },
  };
}
