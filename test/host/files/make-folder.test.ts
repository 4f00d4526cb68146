import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { makeFolder } from '../../../src/host/files/make-folder.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

test('folders that are missing are made for this user alone, and what is there stays', () => {
  const base = temporaryFolder('folders');
  const folder = path.join(base, 'a/b/c');
  makeFolder(folder);
  makeFolder(folder);
  assert.equal(statSync(path.dirname(folder)).mode & 0o777, 0o700);
});

test('a file that stands in the place of a folder is named', () => {
  const file = path.join(temporaryFolder('folders'), 'file');
  writeFileSync(file, '');
  assert.throws(() => makeFolder(file), { code: 'ENOTDIR', message: `ENOTDIR: ${file} is a file, not a folder` });
  assert.throws(() => makeFolder(path.join(file, 'below')), { code: 'ENOTDIR' });
});

test('below a folder in which nothing can be made, as in /proc, it is an error', { timeout: 5_000 }, () => {
  assert.throws(() => makeFolder('/proc/none/of/these'), { code: 'ENOENT' });
});
