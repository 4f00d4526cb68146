import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OwnQuery, readAnswer, type UpstreamRequest } from '../../../../src/services/dns/upstream/request.ts';
import { StreamMessages, withLength } from '../../../../src/services/dns/upstream/stream-messages.ts';
import { DNS_QR } from '../../../../src/wire/dns-message.ts';
import { query } from './upstream-world.ts';

function request(name: string): UpstreamRequest {
  const own = new OwnQuery(query(name));
  return { message: own.message(true), questionEnd: own.questionEnd, answered: () => {}, failed: () => {} };
}

test('whatever comes is an answer to the question or a fault, and nothing is read beyond its end', () => {
  const asked = request('www.example.test');
  const answer = asked.message.slice(0, asked.questionEnd);
  answer[2] = DNS_QR >>> 8;
  answer[11] = 0;
  assert.deepEqual(readAnswer(asked, answer), answer);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const read = readAnswer(asked, bytes);
      if (typeof read !== 'string') assert.ok(read.length >= asked.questionEnd);
    }),
  );
  fc.assert(
    fc.property(fc.nat(answer.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const read = readAnswer(
        asked,
        answer.map((byte, i) => (i === at ? byte ^ flip : byte)),
      );
      // The name but for its letters' case, and type and class.
      const isLetter = (answer[at] ?? 0) > 0x60 && (answer[at] ?? 0) < 0x7b;
      if (at >= 12 && !(flip === 0x20 && isLetter)) assert.equal(read, 'dns-upstream-other-question');
    }),
  );
  for (let length = 0; length < answer.length; length++) {
    assert.equal(typeof readAnswer(asked, answer.subarray(0, length)), 'string');
  }
});

test('a letter in another case is the same name, a type that differs by the same bit is another', () => {
  const asked = request('a.test');
  const https = new OwnQuery(query('a.test', { type: 65 }));
  const told = asked.message.slice(0, asked.questionEnd);
  told[2] = 0x80;
  told[13] = 0x41;
  assert.equal(typeof readAnswer(asked, told), 'object');
  const type97 = https.message(false);
  type97[2] = 0x80;
  type97[type97.length - 3] = 97;
  const askedHttps = { ...asked, message: https.message(false), questionEnd: https.questionEnd };
  assert.equal(readAnswer(askedHttps, type97), 'dns-upstream-other-question');
});

test('a stream is cut into its messages, however it comes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 600 }), { maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1 }),
      (messages, sizes) => {
        const stream = Buffer.concat(messages.map(withLength));
        const cutter = new StreamMessages();
        const cut: Uint8Array[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = sizes[i % sizes.length] ?? 1;
          cutter.push(Uint8Array.from(stream.subarray(at, at + size)));
          at += size;
          for (let next = cutter.next(); next !== undefined; next = cutter.next()) cut.push(next);
        }
        assert.deepEqual(cut, messages);
      },
    ),
  );
});
