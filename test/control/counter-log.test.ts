import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { CounterLog, LIMITS } from '../../src/control/counter-log.ts';
import { Counters } from '../../src/env/counters.ts';
import type { Log, LogFields } from '../../src/env/log.ts';

const SOURCE = path.resolve(import.meta.dirname, '../../src');

interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields | undefined;
}

function recording(debug: boolean): { readonly log: Log; readonly lines: Line[] } {
  const lines: Line[] = [];
  const line =
    (level: string) =>
    (message: string, fields?: LogFields): void =>
      void lines.push({ level, message, fields });
  return { log: { info: line('info'), warn: line('warn'), debug: debug ? line('debug') : undefined }, lines };
}

test('a limit that bites is a warning with its key, once a minute for as long as it bites', () => {
  const counters = new Counters();
  const { log, lines } = recording(false);
  const counterLog = new CounterLog(counters, log);
  counterLog.look(0);
  counters.add('tcp-flow-limit', 3);
  counterLog.look(1000);
  for (let ms = 2000; ms < 60_000; ms += 1000) {
    counters.add('tcp-flow-limit');
    counterLog.look(ms);
  }
  assert.deepEqual(lines, [
    {
      level: 'warn',
      message: 'a limit is reached: there is no room for more TCP connections',
      fields: { key: 'limits.flows', counter: 'tcp-flow-limit', times: 3 },
    },
  ]);
  counterLog.look(61_000);
  assert.equal(lines[1]?.fields?.times, 58);
  for (let ms = 62_000; ms < 300_000; ms += 1000) counterLog.look(ms);
  assert.equal(lines.length, 2, 'it does not bite any more');
});

test('each limit that is warned of is one that the source counts, and its key is one of the configuration', () => {
  const files = globSync('**/*.ts', { cwd: SOURCE }).filter((file) => !file.endsWith('counter-log.ts'));
  const source = files.map((file) => readFileSync(path.join(SOURCE, file), 'utf8')).join('\n');
  const keys = readFileSync(path.resolve(SOURCE, '../docs/configuration.md'), 'utf8');
  for (const [counter, [, key]] of Object.entries(LIMITS)) {
    assert.ok(source.includes(`'${counter}'`), counter);
    const last = key.split('.').at(-1) ?? '';
    assert.ok(key === '' || key.startsWith('ulimit') || keys.includes(`${last}:`), key);
  }
});

test('debug logs have what was counted since the look before, by word; without them nothing is compared', () => {
  const counters = new Counters();
  const { log, lines } = recording(true);
  const counterLog = new CounterLog(counters, log);
  counters.add('udp-bad-checksum', 2);
  counterLog.look(0);
  counterLog.look(1000);
  counters.add('udp-bad-checksum');
  counters.add('tcp-dials');
  counterLog.look(2000);
  assert.deepEqual(
    lines.map(({ fields }) => fields),
    [{ 'udp-bad-checksum': 2 }, { 'tcp-dials': 1, 'udp-bad-checksum': 1 }],
  );
});
