import type { Nameserver } from '../../../facts/nameserver.ts';
import type { NameserverAnswers } from './nameserver-answers.ts';
import type { Source } from './source.ts';

/** The nameservers of `dns.upstreams`, which answer everything where there are any. */
export function configuredUpstreams(upstreams: readonly Nameserver[], nameservers: NameserverAnswers): Source {
  return {
    answer: (query) =>
      upstreams.length === 0 ? undefined : nameservers.ask(query, upstreams, 'a configured upstream says so'),
  };
}
