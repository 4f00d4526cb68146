import { DNS_NOERROR, DNS_NXDOMAIN } from '../../../wire/dns-message.ts';
import type { HostAnswer } from './host-resolver.ts';
import type { NoMessage } from './nameserver-answers.ts';
import { type RawAnswer, sameAddresses } from './raw-answer.ts';

const OTHER_FAMILY = 'the operating system knows the name, but no address of this family';
const NO_ADDRESS = 'the operating system knows the name, but no address';

/** What became of the raw question; 'late' when the operating system's answer could not wait for it any longer. */
export type RawOutcome = RawAnswer | NoMessage | 'late';
/** What became of the operating system's lookup, as far as it concerns the family asked for. */
export type HostOutcome = HostAnswer | 'not-in-time';

/** Whose answer goes to the guest, and why: a sentence for a person. */
export type AddressDecision =
  /** The nameserver's message, whole. */
  | { readonly from: 'upstream'; readonly raw: RawAnswer; readonly why: string }
  /** An answer built of these addresses; without any it says that the name has none of this family (NODATA). */
  | { readonly from: 'operating-system'; readonly addresses: readonly string[]; readonly why: string }
  /** SERVFAIL. */
  | { readonly from: 'nobody'; readonly raw: NoMessage | 'late'; readonly why: string };

/**
 * Weighs the operating system's answer and the nameserver's to one question for A or AAAA. The operating system decides
 * which addresses a name has; the nameserver's message tells more (TTL, CNAME, signatures) and goes to the guest whole
 * where it names the same ones, and it alone can tell one failure from another, which getaddrinfo hides.
 * `wantsRaw`: the asker set DO or CD, so only the nameserver's message serves it.
 */
export function decideAddresses(host: HostOutcome, raw: RawOutcome, wantsRaw: boolean): AddressDecision {
  if (typeof raw === 'string') return decideAlone(host, raw);
  if (wantsRaw) return { from: 'upstream', raw, why: 'the asker wants the nameserver’s own message (DO or CD)' };
  if (typeof host !== 'string') {
    if (raw.rcode === DNS_NOERROR && sameAddresses(raw, host)) {
      return { from: 'upstream', raw, why: 'the nameserver and the operating system agree' };
    }
    return host.length > 0
      ? {
          from: 'operating-system',
          addresses: host,
          why: 'the operating system has other addresses than the nameserver',
        }
      : { from: 'operating-system', addresses: [], why: OTHER_FAMILY };
  }
  const found = raw.rcode === DNS_NOERROR && raw.addresses.size > 0;
  switch (host) {
    case 'no-such-name':
      if (!found) break;
      return { from: 'operating-system', addresses: [], why: 'the operating system says there is no such name' };
    case 'no-address':
      // A failure may be the truth about this family.
      if (!found && raw.rcode !== DNS_NXDOMAIN) break;
      return { from: 'operating-system', addresses: [], why: NO_ADDRESS };
    case 'failed':
      if (!found) break;
      return { from: 'upstream', raw, why: 'the operating system’s lookup failed; the nameserver answered' };
    case 'not-in-time':
      return { from: 'upstream', raw, why: 'the operating system did not answer in time' };
    case 'busy':
      return { from: 'upstream', raw, why: 'too many names are waiting for the operating system' };
  }
  return { from: 'upstream', raw, why: 'the operating system has no address, and the nameserver says why' };
}

function decideAlone(host: HostOutcome, raw: NoMessage | 'late'): AddressDecision {
  if (typeof host !== 'string') {
    const why = {
      'no-answer': 'only the operating system answered; no nameserver did',
      'no-nameservers': 'only the operating system answered; the host has no nameserver',
      late: 'the operating system answered; no nameserver did in time',
    }[raw];
    return { from: 'operating-system', addresses: host, why };
  }
  if (host === 'no-address') return { from: 'operating-system', addresses: [], why: NO_ADDRESS };
  const why = raw === 'no-nameservers' ? 'the host has no nameserver' : 'no nameserver answered';
  return { from: 'nobody', raw, why: `${why}, and the operating system has no address` };
}
