import type { DnsRule } from '../../../config/dns.ts';
import { dnsNameKey } from '../../../wire/dns-name.ts';
import type { DnsQuery } from '../dns-query.ts';
import { labelStarts } from '../zones/zone-names.ts';
import type { NameserverAnswers } from './nameserver-answers.ts';
import type { Answer, Source } from './source.ts';

/** The per-domain rules (`dns.rules`); the longest domain that covers a name wins. */
export class DomainRules implements Source {
  readonly #rules = new Map<string, DnsRule>();
  readonly #nameservers: NameserverAnswers;

  constructor(rules: readonly DnsRule[], nameservers: NameserverAnswers) {
    for (const rule of rules) this.#rules.set(dnsNameKey(rule.domain), rule);
    this.#nameservers = nameservers;
  }

  answer(query: DnsQuery): Promise<Answer> | undefined {
    const rule = this.#match(query.name);
    if (rule === undefined) return undefined;
    const { domain, nameservers } = rule;
    query.trace?.step({ kind: 'rule', domain, nameservers });
    return this.#nameservers.ask(query, nameservers, `the nameserver of the rule for ${domain} says so`);
  }

  #match(name: string): DnsRule | undefined {
    if (this.#rules.size === 0) return undefined;
    for (const at of labelStarts(name)) {
      const rule = this.#rules.get(name.slice(at));
      if (rule !== undefined) return rule;
    }
    return this.#rules.get('');
  }
}
