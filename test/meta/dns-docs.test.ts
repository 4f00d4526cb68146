import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const root = new URL('../../', import.meta.url);

test('every test that docs/dns.md points to exists, with that name', () => {
  const text = readFileSync(new URL('docs/dns.md', root), 'utf8');
  const pointers = [...text.matchAll(/`(test\/[^`]+\.test\.ts)`: “([^”]+)”/g)];
  assert.ok(pointers.length >= 20, `${pointers.length} pointers`);
  for (const [, file = '', name = ''] of pointers) {
    const place = new URL(file, root);
    assert.ok(existsSync(place), file);
    assert.ok(readFileSync(place, 'utf8').includes(name), `${file} has no test “${name}”`);
  }
});

test('every complaint in docs/dns.md has a test', () => {
  const text = readFileSync(new URL('docs/dns.md', root), 'utf8');
  const table = text.slice(text.indexOf('## Complaints of users'), text.indexOf('## What it costs'));
  const rows = table.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| complaint'));
  assert.deepEqual(
    rows.filter((row) => !/`test\/[^`]+`: “/.test(row)),
    [],
  );
});
