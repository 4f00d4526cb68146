import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const ROOT = path.resolve(import.meta.dirname, '../..');
const COLUMNS = 120;
/** A comment that fills its line. Of code, the formatter leaves only single literals long, which are found whole. */
const COMMENT = /^\s*(?:\/\*\*?|\*|\/\/)\s/;
/** Of a tool that reads the line as one. */
const DIRECTIVE = /biome-ignore|@ts-/;
/** A table, a heading, or where a link leads. */
const NOT_PROSE = /^\s*(?:\||#|<|\[[^\]]+\]: )/;

function files(...patterns: readonly string[]): string[] {
  return execFileSync('git', ['ls-files', ...patterns], { cwd: ROOT, encoding: 'utf8' })
    .split('\n')
    .filter(Boolean);
}

/** Lines that end beyond the last column although a space would have let them end before it, as file:line. */
function overlong(file: string, isProse: (line: string) => boolean): string[] {
  const lines = readFileSync(path.join(ROOT, file), 'utf8').split('\n');
  return lines.flatMap((line, i) => {
    const breakable = /\S\s+\S/.test(line.replace(/^\s*(?:\/\*\*?|\*|\/\/|[-*+]|\d+\.)\s+/, ''));
    return isProse(line) && line.length > COLUMNS && breakable ? [`${file}:${i + 1}`] : [];
  });
}

test('comments end at 120 columns', () => {
  const isProse = (line: string): boolean => COMMENT.test(line) && !DIRECTIVE.test(line);
  assert.deepEqual(
    files('*.ts').flatMap((file) => overlong(file, isProse)),
    [],
  );
});

test('Markdown ends at 120 columns, but for tables, headings, links and code', () => {
  const found = files('*.md').flatMap((file) => {
    let fenced = false;
    return overlong(file, (line) => {
      if (/^\s*```/.test(line)) fenced = !fenced;
      return !fenced && !NOT_PROSE.test(line);
    });
  });
  assert.deepEqual(found, []);
});
