import type { NameserverAnswers } from './nameserver-answers.ts';
import type { Source } from './source.ts';

/** The host's nameservers of the moment, for whatever no other source answers. */
export function hostNameservers(nameservers: NameserverAnswers): Source {
  return { answer: (query) => nameservers.ask(query, 'system', 'the host’s nameserver says so') };
}
