import assert from 'node:assert/strict';
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  MESSAGE_BYTES_MAX,
  messagePair,
  receiveDescriptor,
  sendDescriptor,
} from '../../../src/host/namespace/scm-rights.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

function pair(t: TestContext): [number, number] {
  const both = messagePair();
  t.after(() => {
    for (const fd of both) closeSync(fd);
  });
  return both;
}

const text = (message: { payload: Uint8Array } | undefined): string => Buffer.from(message!.payload).toString();

test('a descriptor arrives as a new one of the same open file, close-on-exec', (t) => {
  const [left, right] = pair(t);
  const folder = temporaryFolder('test');
  writeFileSync(join(folder, 'file'), 'content');
  const file = openSync(join(folder, 'file'), 'r');
  assert.equal(sendDescriptor(left, Buffer.from('take it'), file), true);
  closeSync(file);
  const message = receiveDescriptor(right);
  assert.equal(text(message), 'take it');
  const bytes = Buffer.alloc(16);
  assert.equal(readSync(message!.descriptor, bytes), 7);
  closeSync(message!.descriptor);
});

test('messages keep their borders and order, and need no descriptor', (t) => {
  const [left, right] = pair(t);
  const long = 'x'.repeat(MESSAGE_BYTES_MAX);
  for (const word of ['one', long, 'three']) assert.equal(sendDescriptor(left, Buffer.from(word)), true);
  for (const word of ['one', long, 'three']) {
    const message = receiveDescriptor(right);
    assert.equal(text(message), word);
    assert.equal(message!.descriptor, -1);
  }
  assert.equal(receiveDescriptor(right), undefined);
});

test('a closed end reads as the empty message, and sending to it is refused without a signal', (t) => {
  const [left, right] = messagePair();
  t.after(() => closeSync(right));
  sendDescriptor(left, Buffer.from('last'));
  closeSync(left);
  assert.equal(text(receiveDescriptor(right)), 'last');
  assert.equal(receiveDescriptor(right)!.payload.length, 0);
  assert.equal(sendDescriptor(right, Buffer.from('too late')), false);
});

test('a misuse throws with the errno', () => {
  assert.throws(() => sendDescriptor(-1, Buffer.from('x')), {
    code: 'ERR_SYSTEM_CALL',
    message: 'sendmsg failed: EBADF',
  });
  assert.throws(() => receiveDescriptor(-1), { code: 'ERR_SYSTEM_CALL', message: 'recvmsg failed: EBADF' });
});
