import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const root = path.resolve(import.meta.dirname, '../..');

interface LockedPackage {
  readonly hasInstallScript?: boolean;
  readonly resolved?: string;
  /** A part of this repository that has dependencies of its own. */
  readonly link?: boolean;
}

const read = (name: string): unknown => JSON.parse(readFileSync(path.join(root, name), 'utf8'));
const { packages } = read('package-lock.json') as { readonly packages: Readonly<Record<string, LockedPackage>> };
const { allowScripts } = read('package.json') as { readonly allowScripts: Readonly<Record<string, boolean>> };

test('only packages that allowScripts names run a script when they are installed', () => {
  const scripted = Object.entries(packages)
    .filter(([, { hasInstallScript }]) => hasInstallScript === true)
    .map(([place]) => place.replace(/^.*node_modules\//, ''));
  assert.deepEqual(scripted.sort(), Object.keys(allowScripts).sort());
});

/** A lock file may leave the registry's address out, which is how it works with any. */
const FROM_A_REGISTRY = /^https:\/\/[^/]+\/(@[^/]+\/)?[^/]+\/-\/[^/]+\.tgz$/;

test('every package comes from a registry: none from git, a file or an address of its own', () => {
  for (const [place, { resolved, link = false }] of Object.entries(packages)) {
    if (resolved !== undefined && !link) assert.match(resolved, FROM_A_REGISTRY, place);
  }
});
