import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { Journal } from '../../src/services/journal.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const HEAD = { version: 1 };
const NAME = 'things.jsonl';

function journal(t: TestContext, folder: string, lines: string[] = []): Journal {
  const note = (message: string): void => void lines.push(message);
  const log = { info: note, warn: note };
  const made = new Journal({ folder, name: NAME, what: 'things', loss: 'they are lost', head: HEAD, log });
  t.after(() => made.stop());
  return made;
}

const keep = (key: string, n: number) => ({ key, value: { n } });
const forget = (key: string) => ({ key, value: undefined });
const contents = ({ values }: Journal): unknown[] => [...values].map(([key, { n }]) => [key, n]);

test('what is changed is in the file when the answer comes, in order, whoever waits for whom', async (t) => {
  const folder = temporaryFolder('journal');
  const file = path.join(folder, NAME);
  const first = journal(t, folder);
  assert.equal(await first.change(keep('a', 1)), undefined);
  assert.equal(readFileSync(file, 'utf8'), '{"version":1}\n{"key":"a","value":{"n":1}}\n');
  const answers = [first.change(keep('b', 1)), first.change(forget('a'), keep('c', 1)), first.change(keep('b', 2))];
  assert.deepEqual(await Promise.all(answers), [undefined, undefined, undefined]);
  // As after SIGKILL: nobody has stopped anything.
  const copy = temporaryFolder('journal');
  writeFileSync(path.join(copy, NAME), readFileSync(file));
  assert.deepEqual(contents(journal(t, copy)), [
    ['c', 1],
    ['b', 2],
  ]);
});

test('a file that is cut anywhere keeps every whole line before the cut, and grows on from there', async (t) => {
  const folder = temporaryFolder('journal');
  const first = journal(t, folder);
  for (const n of [1, 2, 3]) await first.change(keep(`key ${n}`, n));
  await first.stop();
  const whole = readFileSync(path.join(folder, NAME), 'utf8');
  const headEnd = whole.indexOf('\n') + 1;
  for (let cut = headEnd; cut <= whole.length; cut++) {
    const torn = temporaryFolder('journal');
    writeFileSync(path.join(torn, NAME), whole.slice(0, cut));
    const lines: string[] = [];
    const second = journal(t, torn, lines);
    // A line is as good without its end.
    const expected = [1, 2, 3].slice(0, `${whole.slice(headEnd, cut)}\n`.split('}}\n').length - 1);
    assert.deepEqual(
      contents(second).map((one) => (one as unknown[])[1]),
      expected,
      `cut at ${cut}`,
    );
    await second.change(keep('new', 9));
    await second.stop();
    assert.deepEqual(contents(journal(t, torn, lines)).at(-1), ['new', 9], `cut at ${cut}`);
    assert.deepEqual(lines, []);
  }
});

test('a damaged line in the middle costs that line, and is said', async (t) => {
  const folder = temporaryFolder('journal');
  const file = path.join(folder, NAME);
  writeFileSync(file, '{"version":1}\n{"key":"a","value":{"n":1}}\nnonsense\n{"key":"b","value":{"n":2}}\n');
  const lines: string[] = [];
  assert.deepEqual(contents(journal(t, folder, lines)), [
    ['a', 1],
    ['b', 2],
  ]);
  assert.deepEqual(lines, ['1 lines of the things in things.jsonl are damaged and left out']);
});

test('what changes for ever leaves a file that is bounded by what there is', async (t) => {
  const folder = temporaryFolder('journal');
  const file = path.join(folder, NAME);
  const first = journal(t, folder);
  await first.change(keep('stays', 0));
  let most = 0;
  for (let n = 0; n < 100; n++) {
    await Promise.all(Array.from({ length: 40 }, (_, index) => first.change(keep('changes', 40 * n + index))));
    most = Math.max(most, readFileSync(file, 'utf8').split('\n').length);
  }
  assert.ok(most < 1_200, `${most} lines`);
  await first.stop();
  assert.deepEqual(contents(journal(t, folder)), [
    ['stays', 0],
    ['changes', 3999],
  ]);
});

test('a file that somebody removed is written again with all there is', async (t) => {
  const folder = temporaryFolder('journal');
  const first = journal(t, folder);
  await first.change(keep('a', 1));
  await first.change(keep('b', 2));
  rmSync(path.join(folder, NAME));
  assert.equal(await first.change(keep('c', 3)), undefined);
  await first.stop();
  assert.deepEqual(contents(journal(t, folder)), [
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ]);
});
