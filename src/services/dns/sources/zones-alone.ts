import { DNS_REFUSED } from '../../../wire/dns-message.ts';
import { authored } from './authored-answer.ts';
import type { Source } from './source.ts';

/** The internal server's last source: refuses names that no zone has. */
export const ZONES_ALONE: Source = {
  answer: (query) => {
    const why = 'no zone of Slipway has the name, and this server answers nothing else';
    return authored(query, { rcode: DNS_REFUSED }, { source: 'slipway', why });
  },
};
