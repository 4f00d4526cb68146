import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ERRORS } from '../../src/facts/errors.ts';

const root = new URL('../../', import.meta.url);

test('docs/errors.md lists every code with its meaning, and no other', () => {
  const text = readFileSync(new URL('docs/errors.md', root), 'utf8');
  const listed = Object.fromEntries(
    [...text.matchAll(/^\| `(ERR_[A-Z_]+)` \| (.*) \|$/gm)].map(([, code, means]) => [code, means]),
  );
  assert.deepEqual(listed, { ...ERRORS });
});

test('every code is used somewhere', () => {
  const source = readdirSync(new URL('src/', root), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && file !== 'facts/errors.ts')
    .map((file) => readFileSync(new URL(`src/${file}`, root), 'utf8'))
    .join('\n');
  const unused = Object.keys(ERRORS).filter((code) => !source.includes(`'${code}'`));
  assert.deepEqual(unused, []);
});
