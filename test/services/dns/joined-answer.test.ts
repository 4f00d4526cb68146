import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { joinedAnswer } from '../../../src/services/dns/joined-answer.ts';
import { writeU16 } from '../../../src/wire/bytes.ts';
import { appendOpt, findExtendedError } from '../../../src/wire/dns-edns.ts';
import { DNS_AA, DNS_AD, DNS_NXDOMAIN, DNS_TC, DNS_TYPE_A, DNS_TYPE_MX } from '../../../src/wire/dns-message.ts';
import { answerBytes, type OwnedData, queryBytes, readMessage } from '../../support/dns-messages.ts';

const ALIAS: OwnedData = { owner: 'api.dev.example', data: { type: 'CNAME', target: 'www.corp.example' } };
const SOA: OwnedData = {
  owner: 'corp.example',
  data: {
    type: 'SOA',
    soa: {
      mname: 'ns.corp.example',
      rname: 'root.corp.example',
      serial: 7,
      refreshSeconds: 1,
      retrySeconds: 2,
      expireSeconds: 3,
      minimumSeconds: 4,
    },
  },
};

const chain = (type = DNS_TYPE_A): Uint8Array => answerBytes(queryBytes('api.dev.example', type), { answers: [ALIAS] });

function rest(
  records: Parameters<typeof answerBytes>[1],
  { type = DNS_TYPE_A, rcode = 0, flags = 0 }: { type?: number; rcode?: number; flags?: number } = {},
): Uint8Array {
  return answerBytes(queryBytes('www.corp.example', type), records, flags, rcode);
}

test('names inside the data survive the move: MX, SOA, CNAME', () => {
  const answers: OwnedData[] = [
    { owner: 'www.corp.example', data: { type: 'CNAME', target: 'corp.example' } },
    { owner: 'corp.example', data: { type: 'MX', preference: 10, exchange: 'mail.corp.example' } },
    { owner: 'corp.example', data: { type: 'MX', preference: 20, exchange: 'mail2.corp.example' } },
  ];
  const joined = joinedAnswer(chain(DNS_TYPE_MX), rest({ answers, authorities: [SOA] }, { type: DNS_TYPE_MX }));
  const { head, records } = readMessage(joined!);
  assert.equal(head.name, 'api.dev.example');
  assert.equal(head.answerCount, 4);
  assert.equal(head.authorityCount, 1);
  assert.deepEqual(records, [
    'answer api.dev.example CNAME www.corp.example.',
    'answer www.corp.example CNAME corp.example.',
    'answer corp.example MX 10 mail.corp.example.',
    'answer corp.example MX 20 mail2.corp.example.',
    'authority corp.example SOA ns.corp.example. root.corp.example. 7 1 2 3 4',
  ]);
});

test('the response code is the last name’s, AA the first one’s, AD nobody’s', () => {
  const { head, records } = readMessage(
    joinedAnswer(chain(), rest({ authorities: [SOA] }, { rcode: DNS_NXDOMAIN, flags: DNS_AD }))!,
  );
  assert.equal(head.rcode, DNS_NXDOMAIN);
  assert.equal(head.flags & (DNS_AA | DNS_AD), DNS_AA);
  assert.equal(records.length, 2);
});

test('why there is no answer is passed on', () => {
  const extendedError = { code: 22, text: 'nobody answers' };
  const failed = new Uint8Array(200);
  const message = rest({}, { rcode: 2 });
  failed.set(message);
  const end = appendOpt(failed, message.length, { udpBytes: 1232, extendedRcode: 0, dnssecOk: false, extendedError });
  const joined = joinedAnswer(chain(), failed.slice(0, end))!;
  const { head, edns } = readMessage(joined);
  assert.equal(head.rcode, 2);
  assert.deepEqual(findExtendedError(joined, edns!), extendedError);
});

test('what grows beyond a message is cut at a record, with TC', () => {
  const answers = Array.from({ length: 2000 }, (_, i): OwnedData => {
    return { owner: `host-${i}.with-a-rather-long-name.corp.example`, data: { type: 'A', address: i } };
  });
  const { head, records } = readMessage(joinedAnswer(chain(), rest({ answers }))!);
  assert.ok((head.flags & DNS_TC) !== 0);
  assert.ok(records.length > 800 && records.length < 2000);
});

test('whatever the other message holds, the joined one is well-formed or not there', () => {
  const record = fc.record({
    type: fc.constantFrom(1, 2, 5, 6, 12, 15, 17, 26, 33, 41, 46),
    data: fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.constantFrom(
        ...[
          [0xc0, 12],
          [0, 5, 0xc0, 16],
          [1, 97, 0xc0, 12, 0xc0, 12],
        ].map((list) => Uint8Array.from(list)),
      ),
    ),
    ownerAt: fc.nat(80),
  });
  const counts = fc.tuple(fc.nat(6), fc.nat(3), fc.nat(3));
  fc.assert(
    fc.property(fc.array(record, { maxLength: 8 }), counts, (list, [answers, authorities, additionals]) => {
      const tail = list.flatMap(({ type, data, ownerAt }) => {
        const owner = type === 41 ? [0] : [0xc0, ownerAt];
        return [...owner, 0, type, 0, 1, 0, 0, 0, 9, 0, data.length, ...data];
      });
      const message = Uint8Array.from([...queryBytes('www.corp.example', DNS_TYPE_A), ...tail]);
      writeU16(message, 2, 0x8180);
      writeU16(message, 6, answers);
      writeU16(message, 8, authorities);
      writeU16(message, 10, additionals);
      const joined = joinedAnswer(chain(), message);
      if (joined !== undefined) readMessage(joined);
    }),
    { numRuns: 3000 },
  );
});
