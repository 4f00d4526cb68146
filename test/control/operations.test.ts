import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { test } from 'node:test';
import { Answers } from '../../src/control/answers.ts';
import type { FlowStatus } from '../../src/control/flow-status.ts';
import type { NetworkControl } from '../../src/control/network-control.ts';
import type { NetworkStatus } from '../../src/control/network-status.ts';
import type { ThreadEngine } from '../../src/control/thread-engine.ts';
import type { Answer, Refusal } from '../../src/control/thread-mail.ts';
import type { CoreNetwork } from '../../src/network/core-network.ts';

/** What the compiler says of it is the test: `tsc -b` fails when a line that must not compile does. */
export async function askedAsTheTableSays(control: NetworkControl): Promise<void> {
  const flows: readonly FlowStatus[] = await control.ask('flows', { limit: 10 });
  const status: NetworkStatus = await control.ask('status');
  const was: boolean = await control.ask('killFlow', {
    guestAddress: 1,
    guestPort: 2,
    remoteAddress: 3,
    remotePort: 4,
  });
  void [flows, status, was];
  // @ts-expect-error No operation is called so.
  await control.ask('flow', { limit: 10 });
  // @ts-expect-error The limit is a number.
  await control.ask('flows', { limit: '10' });
  // @ts-expect-error The request belongs to another operation.
  await control.ask('flows', { id: 1, connections: true });
  // @ts-expect-error 'flows' takes a request.
  await control.ask('flows');
  // @ts-expect-error 'status' takes none.
  await control.ask('status', { limit: 10 });
  // @ts-expect-error The answer is not a number.
  const wrong: number = await control.ask('status');
  void wrong;
  // @ts-expect-error What a later thread must be told again is not asked of one thread only.
  await control.requests.ask('flows', { limit: 10 });
}

/** What the network thread sends back for `name`, from a network and an engine that do what `parts` do. */
function world(parts: Partial<CoreNetwork> = {}): { answers: Answers; sent: (Answer | Refusal)[] } {
  const sent: (Answer | Refusal)[] = [];
  const answers = new Answers(parts as CoreNetwork, {} as ThreadEngine, (answers) => void sent.push(...answers));
  return { answers, sent };
}

test('an operation that is not in the table is refused, whatever an object is born with', () => {
  const { answers, sent } = world();
  for (const [id, name] of ['nonsense', 'constructor', 'toString', '__proto__', ''].entries()) {
    answers.answer([{ id, name, request: undefined }]);
    assert.deepEqual(sent.pop(), {
      kind: 'refusal',
      id,
      error: { message: `the network thread has no operation '${name}'` },
    });
  }
});

test('what an operation throws is the refusal, and what it returns is sent at once', () => {
  const { answers, sent } = world({
    forwards: () => [],
    closeForward: () => {
      throw new RangeError('no such number');
    },
  });
  answers.answer([{ id: 1, name: 'forwards', request: undefined }]);
  answers.answer([{ id: 2, name: 'closeForward', request: { id: 1, connections: true } }]);
  assert.deepEqual(sent, [
    { kind: 'answer', id: 1, answer: [] },
    { kind: 'refusal', id: 2, error: { message: 'no such number' } },
  ]);
  assert.equal(answers.pending, 0);
});

test('an answer that comes later is pending until it has come', async () => {
  let done: ((outcome: 'EADDRINUSE') => void) | undefined;
  const { answers, sent } = world({
    openForward: (_request, told) => {
      done = told;
    },
  });
  answers.answer([{ id: 7, name: 'openForward', request: {} }]);
  assert.deepEqual([answers.pending, sent.length], [1, 0]);
  done?.('EADDRINUSE');
  await setImmediate();
  assert.deepEqual(sent, [{ kind: 'answer', id: 7, answer: 'EADDRINUSE' }]);
  assert.equal(answers.pending, 0);
});
