import { dnsNameKey } from '../../../wire/dns-name.ts';
import type { Nameserver } from '../upstream/nameserver.ts';

/** Questions at `domain` and below it go to these nameservers and nowhere else. */
export interface DomainRule {
  readonly domain: string;
  readonly nameservers: readonly Nameserver[];
}

/** The per-domain rules; the longest domain that covers a name wins. */
export class DomainRules {
  readonly #rules = new Map<string, DomainRule>();

  constructor(rules: readonly DomainRule[]) {
    for (const rule of rules) this.#rules.set(dnsNameKey(rule.domain), rule);
  }

  /** `name` is a key: lower case, no last dot. */
  match(name: string): DomainRule | undefined {
    if (this.#rules.size === 0) return undefined;
    let at = 0;
    for (;;) {
      const rule = this.#rules.get(name.slice(at));
      if (rule !== undefined || at === name.length) return rule;
      at = afterLabel(name, at);
    }
  }
}

/** Where the label after the one at `at` begins; the name's length (the root) after the last. */
function afterLabel(name: string, at: number): number {
  for (let i = at; i < name.length; i++) {
    if (name[i] === '.') return i + 1;
    // \. and \\ are octets of the label, and so is \DDD, whose digits hold no dot.
    if (name[i] === '\\') i++;
  }
  return name.length;
}
