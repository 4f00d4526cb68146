import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { findCommand } from '../../../src/host/namespace/command.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

function folder(): string {
  const path = temporaryFolder('test');
  mkdirSync(join(path, 'first'));
  mkdirSync(join(path, 'second'));
  mkdirSync(join(path, 'first', 'tool-folder'));
  writeFileSync(join(path, 'first', 'tool'), '', { mode: 0o644 });
  writeFileSync(join(path, 'second', 'tool'), '', { mode: 0o755 });
  return path;
}

test('the first executable file in PATH wins, over one that is not executable', () => {
  const at = folder();
  assert.equal(findCommand('tool', `${at}/nowhere:${at}/first:${at}/second`, '/'), `${at}/second/tool`);
});

test('an empty or relative part of PATH, and a name with a slash, start from the working folder', () => {
  const at = folder();
  assert.equal(findCommand('tool', ':/nowhere', `${at}/second`), `${at}/second/tool`);
  assert.equal(findCommand('tool', 'second', at), `${at}/second/tool`);
  assert.equal(findCommand('./second/tool', undefined, at), `${at}/second/tool`);
});

test('absent and refused are told apart', () => {
  const at = folder();
  assert.throws(() => findCommand('other', `${at}/first`, '/'), { code: 'ERR_COMMAND_NOT_FOUND' });
  assert.throws(() => findCommand('./other', `${at}/first`, at), { code: 'ERR_COMMAND_NOT_FOUND' });
  assert.throws(() => findCommand('', undefined, '/'), { code: 'ERR_COMMAND_NOT_FOUND' });
  assert.throws(() => findCommand('tool', `${at}/first`, '/'), { code: 'ERR_COMMAND_NOT_EXECUTABLE' });
  assert.throws(() => findCommand('tool-folder', `${at}/first`, '/'), { code: 'ERR_COMMAND_NOT_EXECUTABLE' });
});
