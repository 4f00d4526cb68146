import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CHECKS,
  type ChecklistGuest,
  type CheckReport,
  jsonOutput,
  runChecklist,
  textOutput,
} from '../../src/cli/checklist.ts';

class Paper {
  text = '';
  readonly isTTY: boolean;
  constructor(isTTY = false) {
    this.isTTY = isTTY;
  }
  write(text: string): void {
    this.text += text;
  }
}

function guestThatReports(...reports: readonly CheckReport[]): ChecklistGuest {
  return {
    kind: 'made up',
    run: async (report) => {
      for (const one of reports) report(one);
    },
  };
}

const ALL_OK: readonly CheckReport[] = CHECKS.map((name) => ({ name, outcome: 'ok', detail: 'fine', tookMs: 1 }));

test('all well: one line a check, in order', async () => {
  const paper = new Paper();
  assert.equal(await runChecklist(guestThatReports(...ALL_OK), textOutput(paper)), true);
  const lines = paper.text.trimEnd().split('\n');
  assert.deepEqual(
    lines.map((line) => line.slice(9, 23).trim()),
    [...CHECKS],
  );
});

test('a failed check fails the list, a skipped one does not', async () => {
  const [first, ...rest] = ALL_OK;
  assert.equal(
    await runChecklist(guestThatReports({ ...first!, outcome: 'skipped' }, ...rest), textOutput(new Paper())),
    true,
  );
  assert.equal(
    await runChecklist(guestThatReports({ ...first!, outcome: 'failed' }, ...rest), textOutput(new Paper())),
    false,
  );
});

test('a check that was never reported has failed', async () => {
  const paper = new Paper();
  assert.equal(await runChecklist(guestThatReports(...ALL_OK.slice(0, 2)), textOutput(paper)), false);
  assert.equal(paper.text.match(/failed/g)?.length, CHECKS.length - 2);
});

test('a terminal shows the running check and takes it back', async () => {
  const paper = new Paper(true);
  await runChecklist(guestThatReports(...ALL_OK), textOutput(paper));
  assert.ok(paper.text.startsWith(`  …      ${CHECKS[0]}\r\x1b[K  ok `));
});

test('JSON lines carry the throughput as a number, text as Gbit/s', async () => {
  const report: CheckReport = {
    name: 'download',
    outcome: 'ok',
    detail: '100 MiB',
    tookMs: 100,
    bytesPerSecond: 1.25e9,
  };
  const json = new Paper();
  jsonOutput(json).end(report);
  assert.deepEqual(JSON.parse(json.text), { event: 'check', ...report });
  const text = new Paper();
  textOutput(text).end(report);
  assert.match(text.text, /100 MiB, 10\.00 Gbit\/s\n$/);
});
