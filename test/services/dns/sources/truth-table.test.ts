import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecordedTrace } from '../../../../src/services/dns/lookup-trace.ts';
import type { HostAnswer } from '../../../../src/services/dns/sources/host-resolver.ts';
import { readU16 } from '../../../../src/wire/bytes.ts';
import { DNS_AD, DNS_NXDOMAIN, DNS_REFUSED, DNS_SERVFAIL, DNS_TC } from '../../../../src/wire/dns-message.ts';
import { type Asking, a, query, said, type Written, world, written } from './world.ts';

const ONE = 0x0a00_0001;
const TWO = 0x0a00_0002;

type Raw =
  | 'same'
  | 'other'
  | 'nodata'
  | 'nxdomain'
  | 'servfail'
  | 'refused'
  | 'badvers'
  | 'truncated'
  | 'none'
  | 'nobody';

const RAW: Record<Raw, Written | 'no-answer' | 'no-nameservers'> = {
  // AD tells the nameserver's message from one of ours.
  same: { answers: a(ONE), flags: DNS_AD },
  other: { answers: a(TWO), flags: DNS_AD },
  nodata: { soa: { ttlSeconds: 60, minimumSeconds: 60 } },
  nxdomain: { rcode: DNS_NXDOMAIN, soa: { ttlSeconds: 60, minimumSeconds: 60 } },
  servfail: { rcode: DNS_SERVFAIL },
  refused: { rcode: DNS_REFUSED },
  badvers: { opt: true, upperRcode: 1 },
  truncated: { answers: a(ONE), flags: DNS_TC },
  none: 'no-answer',
  nobody: 'no-nameservers',
};

/** What getaddrinfo says of both families. */
const OS: Record<string, HostAnswer> = {
  addresses: ['10.0.0.1'],
  'addresses of both families': ['2001:db8::1', '10.0.0.1'],
  'no-address': 'no-address',
  'only IPv6': ['2001:db8::1'],
  'no-such-name': 'no-such-name',
  failed: 'failed',
};

/**
 * The nameserver's own message; built of the operating system's addresses; NODATA built; SERVFAIL with this extended
 * error.
 */
type Expected = 'raw' | 'built' | 'nodata' | 22 | 23;

// Operating system → nameserver → what goes to the guest.
const TABLE: Record<string, Record<Raw, Expected>> = {
  addresses: {
    ...{ same: 'raw', other: 'built', nodata: 'built', nxdomain: 'built', servfail: 'built', refused: 'built' },
    ...{ badvers: 'built', truncated: 'built', none: 'built', nobody: 'built' },
  },
  'addresses of both families': {
    ...{ same: 'raw', other: 'built', nodata: 'built', nxdomain: 'built', servfail: 'built', refused: 'built' },
    ...{ badvers: 'built', truncated: 'built', none: 'built', nobody: 'built' },
  },
  'no-address': {
    ...{ same: 'nodata', other: 'nodata', nodata: 'raw', nxdomain: 'nodata', servfail: 'raw', refused: 'raw' },
    ...{ badvers: 'raw', truncated: 'nodata', none: 'nodata', nobody: 'nodata' },
  },
  'only IPv6': {
    ...{ same: 'nodata', other: 'nodata', nodata: 'raw', nxdomain: 'nodata', servfail: 'nodata', refused: 'nodata' },
    ...{ badvers: 'nodata', truncated: 'nodata', none: 'nodata', nobody: 'nodata' },
  },
  'no-such-name': {
    ...{ same: 'nodata', other: 'nodata', nodata: 'raw', nxdomain: 'raw', servfail: 'raw', refused: 'raw' },
    ...{ badvers: 'raw', truncated: 'nodata', none: 22, nobody: 23 },
  },
  failed: {
    ...{ same: 'raw', other: 'raw', nodata: 'raw', nxdomain: 'raw', servfail: 'raw', refused: 'raw' },
    ...{ badvers: 'raw', truncated: 'raw', none: 22, nobody: 23 },
  },
};

/** With DO or CD the nameserver's message is the answer if there is one. */
function expected(os: string, raw: Raw, asking: Asking): Expected {
  const wantsRaw = asking.dnssecOk === true || asking.checkingDisabled === true;
  return wantsRaw && raw !== 'none' && raw !== 'nobody' ? 'raw' : TABLE[os]![raw];
}

for (const [os, row] of Object.entries(TABLE)) {
  for (const raw of Object.keys(row) as Raw[]) {
    for (const asking of [{}, { dnssecOk: true }, { checkingDisabled: true }]) {
      const flags = Object.keys(asking).join();
      const want = expected(os, raw, asking);
      test(`operating system ${os}, nameserver ${raw}${flags === '' ? '' : `, ${flags}`}: ${want}`, async () => {
        const outcome = RAW[raw];
        const w = world({ raw: () => outcome, os: () => OS[os]! });
        const asked = query('host.example', 'A', asking);
        const trace = new RecordedTrace();
        const message = await w.resolve(asked, trace);
        const answer = said(message);
        const last = trace.steps.at(-1)!;
        assert.equal(last.kind, 'answer');
        if (last.kind !== 'answer') return;
        if (want === 'raw') {
          assert.equal(last.source, 'upstream');
          assert.ok(typeof outcome !== 'string');
          assert.deepEqual(message, written(asked, outcome));
        } else if (want === 'built' || want === 'nodata') {
          assert.equal(last.source, 'operating-system');
          assert.equal(answer.rcode, 'NOERROR');
          assert.equal(readU16(message, 2) & DNS_AD, 0);
          assert.deepEqual(answer.answers, want === 'built' ? ['host.example A 10.0.0.1'] : []);
          assert.deepEqual(answer.ttls, want === 'built' ? [10] : []);
        } else {
          assert.equal(answer.rcode, 'SERVFAIL');
          assert.equal(answer.error, want);
        }
      });
    }
  }
}
