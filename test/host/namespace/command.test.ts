import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { findCommand } from '../../../src/host/namespace/command.ts';

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'slipway-test-'));
  t.after(() => rmSync(path, { recursive: true }));
  mkdirSync(join(path, 'first'));
  mkdirSync(join(path, 'second'));
  mkdirSync(join(path, 'first', 'tool-folder'));
  writeFileSync(join(path, 'first', 'tool'), '', { mode: 0o644 });
  writeFileSync(join(path, 'second', 'tool'), '', { mode: 0o755 });
  return path;
}

test('the first executable file in PATH wins, over one that is not executable', (t) => {
  const at = folder(t);
  assert.equal(findCommand('tool', `${at}/nowhere:${at}/first:${at}/second`, '/'), `${at}/second/tool`);
});

test('an empty or relative part of PATH, and a name with a slash, start from the working folder', (t) => {
  const at = folder(t);
  assert.equal(findCommand('tool', ':/nowhere', `${at}/second`), `${at}/second/tool`);
  assert.equal(findCommand('tool', 'second', at), `${at}/second/tool`);
  assert.equal(findCommand('./second/tool', undefined, at), `${at}/second/tool`);
});

test('absent and refused are told apart', (t) => {
  const at = folder(t);
  assert.throws(() => findCommand('other', `${at}/first`, '/'), { code: 'ERR_COMMAND_NOT_FOUND' });
  assert.throws(() => findCommand('./other', `${at}/first`, at), { code: 'ERR_COMMAND_NOT_FOUND' });
  assert.throws(() => findCommand('', undefined, '/'), { code: 'ERR_COMMAND_NOT_FOUND' });
  assert.throws(() => findCommand('tool', `${at}/first`, '/'), { code: 'ERR_COMMAND_NOT_EXECUTABLE' });
  assert.throws(() => findCommand('tool-folder', `${at}/first`, '/'), { code: 'ERR_COMMAND_NOT_EXECUTABLE' });
});
