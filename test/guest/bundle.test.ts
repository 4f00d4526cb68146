import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import path from 'node:path';
import { test } from 'node:test';
import { bundleGuest } from '../../scripts/guest-bundle.ts';
import { needs } from '../support/needs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** Not in the repository, so that nothing of it is found by accident. */
async function bundled(): Promise<string> {
  const folder = temporaryFolder('guest');
  const file = path.join(folder, 'guest.mjs');
  await bundleGuest(file);
  return file;
}

test('two builds are the same bytes, and name no place of the machine that made them', async () => {
  const [first, second] = [readFileSync(await bundled()), readFileSync(await bundled())];
  assert.ok(first.equals(second));
  assert.equal(first.includes(path.resolve(import.meta.dirname, '../..')), false);
});

test('the bundle imports nothing but what Node has built in', async () => {
  const text = readFileSync(await bundled(), 'utf8');
  const imported = [...text.matchAll(/\bfrom\s*["']([^"']+)["']|\bimport\s*\(?\s*["']([^"']+)["']|\brequire\(/g)].map(
    ([, from, bare]) => from ?? bare ?? 'require',
  );
  assert.ok(imported.length > 3);
  const builtin = new Set(builtinModules.map((name) => `node:${name}`));
  assert.deepEqual(
    imported.filter((name) => !builtin.has(name)),
    [],
  );
  assert.match(text, /^#!\/usr\/bin\/env node\n\/\/ Slipway \d/);
});

test('it runs alone, by the Node of the system and by ours, and says what it does and what a slip was', async (t) => {
  const file = await bundled();
  const programs = [process.execPath, ...(needs(t, '/usr/bin/node') ? ['/usr/bin/node'] : [])];
  for (const program of programs) {
    const env = { PATH: '' };
    assert.match(
      execFileSync(program, [file, 'dns', '--help'], { encoding: 'utf8', env }),
      /^Usage: slipway guest dns/,
    );
    const { status, stderr } = spawnSync(program, [file, 'dns', '--listen', '1.2.3:x'], { encoding: 'utf8', env });
    assert.equal(status, 2);
    assert.match(stderr, /^slipway: --listen: expected address:port, found "1\.2\.3:x"\n[\s\S]*ERR_USAGE/);
  }
});
