import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explainedStep } from '../../../src/services/dns/explained-step.ts';
import type { TraceStep } from '../../../src/services/dns/lookup-trace.ts';

const SENTENCES: readonly (readonly [TraceStep, string])[] = [
  [{ kind: 'server', server: 'system', why: 'no zone has it' }, 'The system server answers: no zone has it.'],
  [
    {
      kind: 'rule',
      domain: 'corp.example',
      nameservers: [
        { address: '10.0.0.53', port: 53 },
        { address: 'fd00::1', port: 5353 },
      ],
    },
    'The rule for corp.example sends it to 10.0.0.53, [fd00::1]:5353.',
  ],
  [{ kind: 'cache', outcome: 'hit', ttlSeconds: 12 }, 'The cache has it, for 12 s more.'],
  [{ kind: 'cache', outcome: 'miss' }, 'The cache does not have it.'],
  [{ kind: 'cache', outcome: 'stale' }, 'The cache has an expired answer.'],
  [
    { kind: 'operating-system', family: 4, outcome: 'addresses', addresses: ['10.0.0.1', '10.0.0.2'], ms: 1.26 },
    'The operating system (getaddrinfo, IPv4) says 10.0.0.1, 10.0.0.2, after 1.3 ms.',
  ],
  [
    { kind: 'operating-system', family: 6, outcome: 'addresses', addresses: [], ms: 12.6 },
    'The operating system (getaddrinfo, IPv6) knows the name, without an address of this family, after 13 ms.',
  ],
  [
    { kind: 'operating-system', family: 4, outcome: 'not-in-time', addresses: [], ms: 1000 },
    'The operating system (getaddrinfo, IPv4) did not answer in time, after 1000 ms.',
  ],
  [
    {
      kind: 'upstream',
      nameserver: { address: '10.0.0.53', port: 53 },
      transport: 'tcp',
      outcome: 'NOERROR',
      bytes: 1800,
      ms: 30,
    },
    'Nameserver 10.0.0.53 over TCP: NOERROR, 1800 bytes, after 30 ms.',
  ],
  [
    {
      kind: 'upstream',
      nameserver: { address: '127.0.0.1', port: 5353 },
      transport: 'udp',
      outcome: 'ECONNREFUSED',
      bytes: 0,
      ms: 0.2,
    },
    'Nameserver 127.0.0.1:5353 over UDP: ECONNREFUSED, after 0.2 ms.',
  ],
  [
    { kind: 'answer', source: 'stale-cache', rcode: 0, why: 'nobody answers now' },
    'Answered by an older answer in the cache with NOERROR: nobody answers now.',
  ],
];

test('each step is one sentence', () => {
  for (const [step, sentence] of SENTENCES) assert.equal(explainedStep(step), sentence);
});
