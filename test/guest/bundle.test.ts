import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { bundleGuest } from '../../scripts/guest-bundle.ts';
import { needs } from '../support/needs.ts';

/** Not in the repository, so that nothing of it is found by accident. */
async function bundled(t: TestContext): Promise<string> {
  const folder = mkdtempSync(path.join(tmpdir(), 'slipway-guest-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'guest.mjs');
  await bundleGuest(file);
  return file;
}

test('two builds are the same bytes, and name no place of the machine that made them', async (t) => {
  const [first, second] = [readFileSync(await bundled(t)), readFileSync(await bundled(t))];
  assert.ok(first.equals(second));
  assert.equal(first.includes(path.resolve(import.meta.dirname, '../..')), false);
});

test('the bundle imports nothing but what Node has built in', async (t) => {
  const text = readFileSync(await bundled(t), 'utf8');
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
  const file = await bundled(t);
  const programs = [process.execPath, ...(needs(t, '/usr/bin/node') ? ['/usr/bin/node'] : [])];
  for (const program of programs) {
    const env = { PATH: '' };
    assert.match(
      execFileSync(program, [file, 'dns', '--help'], { encoding: 'utf8', env }),
      /^Usage: slipway guest dns/,
    );
    const { status, stderr } = spawnSync(program, [file, 'dns', '--listen', '1.2.3:x'], { encoding: 'utf8', env });
    assert.equal(status, 1);
    assert.match(stderr, /^slipway: --listen: expected address:port, found "1\.2\.3:x"\n[\s\S]*ERR_USAGE/);
  }
});
