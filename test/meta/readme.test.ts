import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type AttachmentUrl, parseListenUrl, guestArguments } from '../../src/config/listen.ts';
import { parseConfig } from '../../src/config/parse.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const DOCUMENTS = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', ...globSync('docs/**/*.md', { cwd: root })];
const readme = read('README.md');
const { scripts, dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<string, object>;

function read(file: string): string {
  return readFileSync(path.join(root, file), 'utf8');
}

/** The lines of a document's shell blocks, without comments. */
function commands(text: string): string[] {
  return [...text.matchAll(/```sh\n([\s\S]*?)```/g)]
    .flatMap((block) => (block[1] ?? '').split('\n'))
    .map((line) => line.replace(/\s+#.*$/, '').trim())
    .filter((line) => line !== '');
}

/** `slipway up …` and the like, as words; what a guest's command or the next program has of its own is left out. */
const calls = commands(readme)
  .map((line) => /\bslipway (up|run|demo|status|ports \w+|helper \w+)\b(.*)/.exec(line))
  .filter((match) => match !== null)
  .map(([, name = '', rest = '']) => ({
    name,
    words: (rest.split(/ -- | \| /, 1)[0] ?? '').split(/\s+/).map((word) => word.replaceAll("'", '')),
  }));

const help = new Map<string, string>();

function helpOf(command: string): string {
  const known = help.get(command);
  if (known !== undefined) return known;
  const text = execFileSync(process.execPath, [path.join(root, 'src/cli/main.ts'), ...command.split(' '), '--help'], {
    encoding: 'utf8',
  });
  help.set(command, text);
  return text;
}

test('every option in a recipe of the README is one that the command knows', () => {
  assert.ok(calls.length > 5, 'the README has recipes');
  for (const { name, words } of calls) {
    for (const option of words.filter((word) => /^--?[a-z]/.test(word))) {
      assert.match(helpOf(name), new RegExp(`^\\s+(-\\w, )?${option}\\b`, 'm'), `slipway ${name} ${option}`);
    }
  }
});

test('every attachment in a recipe is one that Slipway understands, and QEMU’s arguments are those that it prints', () => {
  const urls = calls.flatMap(({ words }) => words).filter((word) => word.startsWith('qemu+'));
  const parsed = urls.map((text) => parseListenUrl(text));
  assert.deepEqual(
    parsed.filter((url) => typeof url === 'string'),
    [],
  );
  const printed = (parsed as AttachmentUrl[]).map((url) => guestArguments(url));
  const shown = commands(readme)
    .map((line) => /-netdev .*/.exec(line)?.[0])
    .filter((text) => text !== undefined);
  assert.equal(shown.length, 2);
  for (const text of shown) assert.ok(printed.includes(text), text);
});

test('the configuration files of the README are valid', () => {
  const files = [...readme.matchAll(/<<'YAML'\n([\s\S]*?)YAML/g)].map(([, yaml = '']) => yaml);
  assert.ok(files.length > 0);
  for (const yaml of files) assert.ok(Object.keys(parseConfig(yaml, 'README.md')).length > 0);
});

test('every npm script that a document tells to run exists', () => {
  const named = DOCUMENTS.flatMap((file) =>
    [...read(file).matchAll(/\bnpm (?:run )?(start|test|(?<=run )[a-z]+(?::[a-z]+)?)\b/g)].map(
      (match) => match[1] ?? '',
    ),
  );
  assert.ok(named.includes('bench'));
  assert.deepEqual(
    named.filter((name) => !(name in (scripts ?? {}))),
    [],
  );
});

test('links and file names in documents lead to files', () => {
  const missing = DOCUMENTS.flatMap((file) => {
    const text = read(file);
    const links = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map((match) =>
      path.join(path.dirname(file), match[1] ?? ''),
    );
    const named = [...text.matchAll(/`((?:src|test|docs|bench|wasm|scripts)\/[\w./-]+|\.ci\/run)`/g)].map(
      (match) => match[1] ?? '',
    );
    return [...links, ...named]
      .filter((place) => !existsSync(path.join(root, place)))
      .map((place) => `${file}: ${place}`);
  });
  assert.deepEqual(missing, []);
});

test('every README of a part of src has the same four headings', () => {
  const readmes = globSync('src/**/README.md', { cwd: root });
  assert.ok(readmes.length > 3);
  const headings = /^What it is, How a [^,]+, Limits, What it refuses to be$/;
  for (const file of readmes) {
    const found = Array.from(read(file).matchAll(/^## (.*)$/gm), (match) => match[1]);
    assert.match(found.join(', '), headings, file);
  }
});

test('docs/architecture.md is two pages and shows every folder of src', () => {
  const text = read('docs/architecture.md');
  assert.ok(text.split('\n').length <= 100);
  const folders = readdirSync(path.join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const shown = new Set(
    [...text.matchAll(/^ {2}([a-z-/ ]+?) {2,}\S/gm)].flatMap((match) => (match[1] ?? '').split(' ')),
  );
  assert.deepEqual(
    folders.map(({ name }) => name).filter((name) => ![...shown].some((place) => place.startsWith(`${name}/`))),
    [],
  );
});

test('every dependency has its reason in docs/decisions', () => {
  const text = read('docs/decisions/0001-dependencies.md');
  const { devDependencies: reference } = JSON.parse(read('docs/reference/package.json')) as Record<string, object>;
  const rows = [...text.matchAll(/^\| ([\w@/-]+) \|/gm)].map((match) => match[1]).filter((name) => name !== 'package');
  const listed = rows.filter((name) => name !== 'for');
  assert.deepEqual(
    listed.sort(),
    [...new Set([dependencies, devDependencies, reference].flatMap((part) => Object.keys(part ?? {})))].sort(),
  );
});

test('no two decisions have one number', () => {
  const numbers = readdirSync(path.join(root, 'docs/decisions'))
    .filter((name) => name !== 'README.md')
    .map((name) => name.slice(0, 4));
  assert.deepEqual(numbers, [...new Set(numbers)]);
});
