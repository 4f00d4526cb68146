import type { DnsQuery } from '../dns-query.ts';
import type { Answer, Ask } from './source.ts';

/** Records in the question's trace, at the end, which source answered and why. */
export function traced(ask: Ask): Ask {
  const tell = (query: DnsQuery, answer: Answer): Answer => {
    const { source, rcode, why } = answer;
    query.trace?.step({ kind: 'answer', source, rcode, why });
    return answer;
  };
  return (query) => {
    const answer = ask(query);
    if (query.trace === undefined) return answer;
    return answer instanceof Promise ? answer.then((late) => tell(query, late)) : tell(query, answer);
  };
}
