import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeMessage } from '../../../src/services/dns/described-message.ts';
import { appendOpt } from '../../../src/wire/dns-edns.ts';
import { DNS_TYPE_TXT } from '../../../src/wire/dns-message.ts';
import { answerBytes, queryBytes } from '../../support/dns-messages.ts';

test('nothing that a nameserver says moves a terminal’s cursor or turns its lines around', () => {
  const hostile = '\u001b]0;owned\u0007\u009b2J\n\u202e\u2028';
  const texts = [Uint8Array.from(Buffer.from(hostile))];
  const owner = '\\027[31m.example';
  const answer = answerBytes(queryBytes(owner, DNS_TYPE_TXT), { answers: [{ owner, data: { type: 'TXT', texts } }] });
  const room = new Uint8Array(answer.length + 100);
  room.set(answer);
  const extendedError = { code: 0, text: `${hostile} größer` };
  const end = appendOpt(room, answer.length, { udpBytes: 1232, extendedRcode: 0, dnssecOk: false, extendedError });
  const described = describeMessage(room.subarray(0, end));
  assert.doesNotMatch(JSON.stringify(described), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|\\u00|\\n/u);
  assert.equal(described.extendedError?.text, '\\u{1b}]0;owned\\u{7}\\u{9b}2J\\u{a}\\u{202e}\\u{2028} größer');
});
