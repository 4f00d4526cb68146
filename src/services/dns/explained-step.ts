import { isIPv6 } from 'node:net';
import { DNS_PORT, dnsRcodeName } from '../../wire/dns-message.ts';
import type { SourceName, TraceStep } from './lookup-trace.ts';
import type { Nameserver } from '../../facts/nameserver.ts';

const WHO: Readonly<Record<SourceName, string>> = {
  zone: 'a zone of Slipway',
  'host-record': 'dns.hosts of the configuration',
  cache: 'the cache',
  'stale-cache': 'an older answer in the cache',
  upstream: 'the nameserver',
  'operating-system': 'the operating system',
  slipway: 'Slipway',
};

/** One step of a lookup as a sentence. */
export function explainedStep(step: TraceStep): string {
  switch (step.kind) {
    case 'server':
      return `The ${step.server} server answers: ${step.why}.`;
    case 'rule':
      return `The rule for ${step.domain} sends it to ${step.nameservers.map(place).join(', ')}.`;
    case 'cache':
      return cacheSentence(step.outcome, step.ttlSeconds);
    case 'operating-system':
      return `The operating system ${hostSentence(step)}, after ${milliseconds(step.ms)}.`;
    case 'upstream': {
      const { nameserver, transport, outcome, bytes, ms } = step;
      const size = bytes > 0 ? `, ${bytes} bytes` : '';
      const way = `Nameserver ${place(nameserver)} over ${transport.toUpperCase()}`;
      return `${way}: ${outcome}${size}, after ${milliseconds(ms)}.`;
    }
    case 'answer':
      return `Answered by ${WHO[step.source]} with ${dnsRcodeName(step.rcode)}: ${step.why}.`;
  }
}

/** "1.3 ms" */
export function milliseconds(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

function cacheSentence(outcome: 'hit' | 'miss' | 'joined' | 'stale', ttlSeconds: number | undefined): string {
  switch (outcome) {
    case 'hit':
      return `The cache has it${ttlSeconds === undefined ? '' : `, for ${ttlSeconds} s more`}.`;
    case 'miss':
      return 'The cache does not have it.';
    case 'joined':
      return 'The same question is already in progress; its answer is used here too.';
    case 'stale':
      return 'The cache has an expired answer.';
  }
}

function hostSentence({ family, outcome, addresses }: TraceStep & { readonly kind: 'operating-system' }): string {
  const kind = `IPv${family}`;
  switch (outcome) {
    case 'addresses':
      return addresses.length > 0
        ? `(getaddrinfo, ${kind}) says ${addresses.join(', ')}`
        : `(getaddrinfo, ${kind}) knows the name, without an address of this family`;
    case 'no-such-name':
      return `(getaddrinfo, ${kind}) says there is no such name`;
    case 'failed':
      return `(getaddrinfo, ${kind}) failed`;
    case 'not-in-time':
      return `(getaddrinfo, ${kind}) did not answer in time`;
  }
}

function place({ address, port }: Nameserver): string {
  if (port === DNS_PORT) return address;
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}
