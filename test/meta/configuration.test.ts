import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { resolveConfig } from '../../src/config/config.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { knownKeys } from '../../src/config/schema.ts';

const text = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
const example = /```yaml\n([\s\S]*?)```/.exec(text)?.[1] ?? '';

test('the example of docs/configuration.md is valid and, but for listen, says the defaults', () => {
  const { listen, ...shown } = resolveConfig(parseConfig(example, 'docs/configuration.md'));
  const { listen: _, ...defaults } = resolveConfig({});
  assert.equal(listen.length, 2);
  assert.deepEqual(shown, defaults);
});

test('the example shows every key', () => {
  const input = parseConfig(example, 'docs/configuration.md') as Record<string, object>;
  assert.deepEqual(Object.keys(input).sort(), [...knownKeys([])].sort());
  for (const section of knownKeys([])) {
    const keys = knownKeys([section]);
    if (keys.length > 0) assert.deepEqual(Object.keys(input[section]!).sort(), [...keys].sort());
  }
});
