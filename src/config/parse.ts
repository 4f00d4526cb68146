import { readFileSync } from 'node:fs';
import { type Document, isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import type { ConfigInput } from './config.ts';
import { SlipwayError } from './errors.ts';
import { configSchema, knownKeys } from './schema.ts';
import { shown } from './values.ts';

/** Reads and checks a configuration file. Loaded on demand: it brings zod and yaml. Throws SlipwayError ERR_CONFIG_*. */
export function readConfigFile(file: string): ConfigInput {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new SlipwayError(
      'ERR_CONFIG_READ',
      `${file}: ${(cause as Error).message}`,
      'Check the path and that you may read it.',
      {
        cause,
      },
    );
  }
  return parseConfig(text, file);
}

/** Parses YAML; each problem is one line `file:line: key: expected …, found …`. Throws SlipwayError ERR_CONFIG_*. */
export function parseConfig(text: string, file: string): ConfigInput {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const broken = document.errors[0];
  if (broken !== undefined) {
    const line = lines.linePos(broken.pos[0]).line;
    throw new SlipwayError(
      'ERR_CONFIG_SYNTAX',
      `${file}:${line}: ${firstLine(broken.message)}`,
      'The file must be YAML: key: value, indented by spaces.',
    );
  }
  const raw: unknown = document.toJS({ maxAliasCount: 100 }) ?? {};
  const result = configSchema.safeParse(raw);
  if (result.success) return result.data;
  const problems = result.error.issues.flatMap((issue) =>
    describe(issue, raw, (path, key) => lines.linePos(offsetOf(document, path, key)).line),
  );
  problems.sort((a, b) => a.line - b.line);
  throw new SlipwayError(
    'ERR_CONFIG_INVALID',
    problems.map((problem) => `${file}:${problem.line}: ${problem.text}`).join('\n'),
    'docs/configuration.md lists every key.',
  );
}

interface Problem {
  readonly line: number;
  readonly text: string;
}

function describe(
  issue: z.core.$ZodIssue,
  raw: unknown,
  lineOf: (path: readonly PropertyKey[], key?: string) => number,
): Problem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      line: lineOf(issue.path, key),
      text: `${[...issue.path, key].join('.')}: unknown key${suggestion(key, knownKeys(issue.path))}`,
    }));
  }
  const found =
    issue.code === 'custom' && issue.params?.found !== undefined
      ? (issue.params.found as unknown)
      : issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | null | undefined)?.[key], raw);
  const where = issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  return [{ line: lineOf(issue.path), text: `${where}expected ${expectation(issue)}, found ${shown(found)}` }];
}

function expectation(issue: z.core.$ZodIssue): string {
  if (issue.code !== 'invalid_type') return issue.message;
  return issue.expected === 'array'
    ? 'a list'
    : issue.expected === 'object' || issue.expected === 'record'
      ? 'keys with values'
      : `a ${issue.expected}`;
}

/** Where in the text the value at `path` (or the key `key` in it) stands; the nearest parent when it has no place of its own. */
function offsetOf(document: Document, path: readonly PropertyKey[], key?: string): number {
  for (let depth = path.length; depth >= 0; depth--) {
    const node: unknown = depth === 0 ? document.contents : document.getIn(path.slice(0, depth), true);
    if (key !== undefined && depth === path.length && isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
      if (isScalar(pair?.key) && pair.key.range) return pair.key.range[0];
    }
    const range = (node as { range?: [number, number, number] | null } | undefined)?.range;
    if (range) return range[0];
  }
  return 0;
}

function suggestion(key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  if (near !== undefined) return `; did you mean "${near}"?`;
  return known.length > 0 ? ` (known here: ${known.join(', ')})` : '';
}

/** The word at most two edits away, if any. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = 3;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

/** Levenshtein's, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? text;
}
