import type { Counters } from '../../../env/counters.ts';
import { DNS_SERVFAIL } from '../../../wire/dns-message.ts';
import type { DnsQuery } from '../dns-query.ts';
import { EDE_OTHER } from '../protocol.ts';
import { authored } from './authored-answer.ts';
import type { Answer, Ask } from './source.ts';

/** Turns a defect into one failed answer (SERVFAIL, 'dns-defect'). What it returns neither throws nor rejects. */
export function guarded(ask: Ask, counters: Counters): Ask {
  const defect = (query: DnsQuery): Answer => {
    counters.add('dns-defect');
    const why = 'a defect in Slipway';
    return authored(
      query,
      { rcode: DNS_SERVFAIL, extendedError: { code: EDE_OTHER, text: why } },
      { source: 'slipway', why },
    );
  };
  return (query) => {
    try {
      const answer = ask(query);
      return answer instanceof Promise ? answer.catch(() => defect(query)) : answer;
    } catch {
      return defect(query);
    }
  };
}
