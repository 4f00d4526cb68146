import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fitAnswer } from '../../../src/services/dns/fit-answer.ts';
import { writeU16 } from '../../../src/wire/bytes.ts';
import { appendOpt, findExtendedError } from '../../../src/wire/dns-edns.ts';
import {
  DNS_AD,
  DNS_CD,
  DNS_NXDOMAIN,
  DNS_RA,
  DNS_RD,
  DNS_SERVFAIL,
  DNS_TC,
  DNS_TYPE_A,
  DNS_TYPE_TXT,
} from '../../../src/wire/dns-message.ts';
import {
  answerBytes,
  dnsQuery,
  type OwnedData,
  type Question,
  queryBytes,
  readMessage,
} from '../../support/dns-messages.ts';

const TEN: OwnedData = { owner: 'big.example', data: { type: 'A', address: 0x0a00_0001 } };
const address = (owner: string, last: number): OwnedData => ({
  owner,
  data: { type: 'A', address: 0x0a00_0000 + last },
});

/** `message` with an OPT record, as a nameserver sends it. */
function withOpt(message: Uint8Array, opt: Partial<Parameters<typeof appendOpt>[2]> = {}): Uint8Array {
  const room = new Uint8Array(message.length + 200);
  room.set(message);
  return room.slice(0, appendOpt(room, message.length, { udpBytes: 4096, extendedRcode: 0, dnssecOk: true, ...opt }));
}

/** Where the OPT record begins, which is the only additional one. */
function answerEnd(message: Uint8Array): number {
  const { edns } = readMessage(message);
  return edns!.optAt;
}

function asked(name: string, question: Question = {}, type = DNS_TYPE_A) {
  return dnsQuery(queryBytes(name, type, { id: 0x4321, ...question }));
}

test('the asker gets its id, its spelling of the name, its RD and CD', () => {
  const query = asked('BiG.eXample', { flags: DNS_RD | DNS_CD });
  const fitted = fitAnswer(answerBytes(queryBytes('big.example', DNS_TYPE_A), { answers: [TEN] }), query, 'udp');
  const { head, edns, records } = readMessage(fitted!);
  assert.equal(head.id, 0x4321);
  assert.equal(head.name, 'BiG.eXample');
  assert.equal(head.flags, 0x8000 | DNS_RD | DNS_RA | DNS_CD);
  assert.equal(edns, undefined);
  assert.deepEqual(
    records.map((text) => text.split(' ').slice(0, 3).join(' ')),
    ['answer BiG.eXample A'],
  );
});

test('the usual answer is fitted where it stands', () => {
  const message = withOpt(answerBytes(queryBytes('big.example', DNS_TYPE_A), { answers: [TEN] }));
  const fitted = fitAnswer(message, asked('big.example', { edns: {} }), 'udp');
  assert.equal(fitted?.buffer, message.buffer);
});

test('AD is for who asked for it or for signatures', () => {
  const ad = (question: Question, flags: number): boolean => {
    const message = answerBytes(queryBytes('big.example', DNS_TYPE_A), { answers: [TEN] }, flags);
    return (readMessage(fitAnswer(message, asked('big.example', question), 'udp')!).head.flags & DNS_AD) !== 0;
  };
  assert.equal(ad({}, DNS_AD), false);
  assert.equal(ad({ edns: {} }, DNS_AD), false);
  assert.equal(ad({ flags: DNS_RD | DNS_AD }, DNS_AD), true);
  assert.equal(ad({ edns: { dnssecOk: true } }, DNS_AD), true);
  assert.equal(ad({ edns: { dnssecOk: true } }, 0), false);
});

test('the OPT record is ours, and there only for who sent one', () => {
  const message = () => withOpt(answerBytes(queryBytes('big.example', DNS_TYPE_A), { answers: [TEN] }));
  assert.equal(readMessage(fitAnswer(message(), asked('big.example'), 'udp')!).edns, undefined);
  for (const dnssecOk of [false, true]) {
    const { edns, records } = readMessage(fitAnswer(message(), asked('big.example', { edns: { dnssecOk } }), 'udp')!);
    assert.equal(edns?.udpBytes, 1232);
    assert.equal(edns?.dnssecOk, dnssecOk);
    assert.equal(records.length, 1);
  }
});

test('addresses behind an OPT record stay whole, names that they share included', () => {
  const base = queryBytes('big.example', DNS_TYPE_A);
  const plain = answerBytes(base, {
    answers: [TEN],
    additionals: [address('ns1.elsewhere.test', 1), address('ns2.elsewhere.test', 2), address('ns3.big.example', 3)],
  });
  const wanted = readMessage(plain).records;
  // The OPT record goes before the additional records; pointers behind it that point there move along.
  const additionalAt = plain.length - (20 + 14) - (4 + 2 + 14) - (4 + 2 + 14);
  const gap = 11;
  const moved = new Uint8Array(plain.length + gap);
  moved.set(plain.subarray(0, additionalAt));
  moved.set([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0], additionalAt);
  moved.set(plain.subarray(additionalAt), additionalAt + gap);
  writeU16(moved, 10, 4);
  // ns2's parent stands in ns1's owner, four bytes into the first additional record.
  writeU16(moved, additionalAt + gap + 34 + 4, 0xc000 | (additionalAt + 4 + gap));
  assert.deepEqual(readMessage(moved).records, wanted);
  assert.deepEqual(readMessage(fitAnswer(moved.slice(), asked('big.example'), 'udp')!).records, wanted);
  const again = readMessage(fitAnswer(moved, asked('big.example', { edns: {} }), 'udp')!);
  assert.deepEqual(again.records, wanted);
  assert.equal(again.edns?.udpBytes, 1232);
});

test('an address whose owner points into the OPT record goes with it', () => {
  const message = withOpt(answerBytes(queryBytes('big.example', DNS_TYPE_A), { answers: [TEN] }), {
    extendedError: { code: 0, text: 'here' },
  });
  // Its owner is the zero in the OPT record's own owner, or an octet of the error's text.
  for (const into of [2, 12, message.length - answerEnd(message) - 1]) {
    const target = answerEnd(message) + into;
    const owner = [0xc0 | (target >>> 8), target & 0xff];
    const lying = Uint8Array.from([...message, ...owner, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 1]);
    writeU16(lying, 10, 2);
    const { records } = readMessage(fitAnswer(lying, asked('big.example'), 'udp')!);
    assert.deepEqual(records, ['answer big.example A 10.0.0.1'], String(into));
  }
});

test('the upper bits of the response code and the extended error are kept; without EDNS they are SERVFAIL', () => {
  const extendedError = { code: 6, text: 'bogus' };
  const message = () =>
    withOpt(answerBytes(queryBytes('big.example', DNS_TYPE_A), {}, 0, 7), { extendedRcode: 1, extendedError });
  const fitted = fitAnswer(message(), asked('big.example', { edns: {} }), 'udp')!;
  const { head, edns } = readMessage(fitted);
  assert.equal(head.rcode, 7);
  assert.equal(edns?.extendedRcode, 1);
  assert.deepEqual(findExtendedError(fitted, edns!), extendedError);
  assert.equal(readMessage(fitAnswer(message(), asked('big.example'), 'udp')!).head.rcode, DNS_SERVFAIL);
});

const MANY = Array.from({ length: 100 }, (_, i) => address('big.example', i));

test('a datagram holds as many answers as the asker takes, with TC; a stream holds them all', () => {
  const query = queryBytes('big.example', DNS_TYPE_A);
  const message = () => answerBytes(query, { answers: MANY, additionals: [address('more.example', 7)] });
  for (const [question, most] of [
    [{}, 512],
    [{ edns: { udpBytes: 100 } }, 512],
    [{ edns: { udpBytes: 1232 } }, 1232],
  ] as const) {
    const cut = fitAnswer(message(), asked('big.example', question), 'udp')!;
    const { head, records, edns } = readMessage(cut);
    assert.ok((head.flags & DNS_TC) !== 0);
    assert.ok(cut.length <= most && cut.length > most - 16);
    assert.ok(records.every((text) => text.startsWith('answer')));
    assert.equal(edns !== undefined, question !== undefined && 'edns' in question);
  }
  for (const [question, transport] of [
    [{ edns: { udpBytes: 4096 } }, 'udp'],
    [{}, 'tcp'],
  ] as const) {
    const { head, records } = readMessage(fitAnswer(message(), asked('big.example', question), transport)!);
    assert.equal(head.flags & DNS_TC, 0);
    assert.equal(records.length, 101);
  }
});

test('additional records that do not fit go without TC, authorities with it', () => {
  const query = queryBytes('big.example', DNS_TYPE_A);
  const extra = MANY.map(({ data }) => ({ owner: 'glue.example', data }));
  const glue = readMessage(
    fitAnswer(answerBytes(query, { answers: [TEN], additionals: extra }), asked('big.example'), 'udp')!,
  );
  assert.equal(glue.head.flags & DNS_TC, 0);
  assert.equal(glue.records.length, 1);
  const authority = readMessage(
    fitAnswer(answerBytes(query, { answers: [TEN], authorities: extra }), asked('big.example'), 'udp')!,
  );
  assert.ok((authority.head.flags & DNS_TC) !== 0);
});

test('a single record that is too long leaves the question and TC', () => {
  const texts = Array.from({ length: 4 }, () => new Uint8Array(250).fill(0x61));
  const query = queryBytes('big.example', DNS_TYPE_TXT);
  const message = answerBytes(query, { answers: [{ owner: 'big.example', data: { type: 'TXT', texts } }] });
  const { head, records } = readMessage(fitAnswer(message, asked('big.example', {}, DNS_TYPE_TXT), 'udp')!);
  assert.ok((head.flags & DNS_TC) !== 0);
  assert.deepEqual(records, []);
});

test('an answer of 65,535 bytes goes over a stream whole, without an OPT record when it has no room', () => {
  const query = queryBytes('big.example', DNS_TYPE_A);
  const room = 65_535 - answerBytes(query, {}).length;
  const answers = Array.from({ length: Math.floor(room / 16) }, (_, i) => address('big.example', i));
  const message = answerBytes(query, { answers });
  const fitted = fitAnswer(message, asked('big.example', { edns: {} }), 'tcp')!;
  assert.equal(readMessage(fitted).records.length, answers.length);
});

test('the negative answer stays one', () => {
  const soa = { mname: 'ns.example', rname: 'hostmaster.example', serial: 1, refreshSeconds: 1, retrySeconds: 1 };
  const authorities: OwnedData[] = [
    { owner: 'example', data: { type: 'SOA', soa: { ...soa, expireSeconds: 1, minimumSeconds: 60 } } },
  ];
  const message = answerBytes(queryBytes('big.example', DNS_TYPE_A), { authorities }, 0, DNS_NXDOMAIN);
  const { head, records } = readMessage(fitAnswer(withOpt(message), asked('big.example', { edns: {} }), 'udp')!);
  assert.equal(head.rcode, DNS_NXDOMAIN);
  assert.equal(records.length, 1);
});

test('what does not answer the question, or is broken, is no answer', () => {
  const query = asked('big.example');
  assert.equal(fitAnswer(answerBytes(queryBytes('bag.example', DNS_TYPE_A), {}), query, 'udp'), undefined);
  assert.equal(fitAnswer(answerBytes(queryBytes('big.example', DNS_TYPE_TXT), {}), query, 'udp'), undefined);
  assert.equal(fitAnswer(new Uint8Array(12), query, 'udp'), undefined);
  const short = answerBytes(queryBytes('big.example', DNS_TYPE_A), { answers: [TEN] });
  assert.equal(fitAnswer(short.slice(0, -1), query, 'udp'), undefined);
});

test('bytes behind the last record are left out', () => {
  const message = answerBytes(queryBytes('big.example', DNS_TYPE_A), { answers: [TEN] });
  const fitted = fitAnswer(Uint8Array.from([...message, 1, 2, 3]), asked('big.example', { edns: {} }), 'udp')!;
  assert.equal(readMessage(fitted).records.length, 1);
});

test('whatever a message holds behind the question, the fitted one is well-formed and short enough', () => {
  const types = fc.constantFrom(1, 5, 16, 28, 41, 46);
  const record = fc.record({ type: types, data: fc.uint8Array({ maxLength: 300 }), pointer: fc.nat(60) });
  fc.assert(
    fc.property(
      fc.array(record, { maxLength: 12 }),
      fc.tuple(fc.nat(4), fc.nat(4), fc.nat(4)),
      fc.option(fc.record({ udpBytes: fc.nat(5000), dnssecOk: fc.boolean() }), { nil: undefined }),
      fc.constantFrom('udp' as const, 'tcp' as const),
      (list, counts, edns, transport) => {
        const query = asked('big.example', edns === undefined ? {} : { edns });
        const tail = list.flatMap(({ type, data, pointer }) => {
          const owner = type === 41 ? [0] : [0xc0, 12 + (pointer % 5 === 0 ? 4 : 0)];
          return [...owner, 0, type, 0, 1, 0, 0, 0, 9, data.length >> 8, data.length & 255, ...data];
        });
        const message = Uint8Array.from([...queryBytes('BIG.example', DNS_TYPE_A), ...tail]);
        for (const [i, count] of counts.entries()) writeU16(message, 6 + 2 * i, count);
        const fitted = fitAnswer(message, query, transport);
        if (fitted === undefined) return;
        const { head } = readMessage(fitted);
        assert.equal(head.id, 0x4321);
        const most = Math.min(4096, Math.max(512, edns?.udpBytes ?? 512));
        assert.ok(transport === 'tcp' || fitted.length <= most);
      },
    ),
    { numRuns: 2000 },
  );
});
