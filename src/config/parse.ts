import { readFileSync } from 'node:fs';
import { type Document, isMap, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import { SlipwayError } from '../facts/errors.ts';
import type { ConfigInput } from './config.ts';
import { configSchema, knownKeys } from './schema.ts';
import { schemaProblems } from './schema-problem.ts';

/** More than a file that a person writes has use for. */
const MAX_ALIASES = 100;

/**
 * Reads and checks a configuration file. Loaded on demand: it brings zod and yaml. Throws SlipwayError ERR_CONFIG_*.
 */
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
  checkAliases(document, lines, file);
  const raw: unknown = plainValue(document, file);
  const result = configSchema.safeParse(raw);
  if (result.success) return result.data;
  const problems = schemaProblems(result.error.issues, raw, knownKeys).map(({ path, key, text: problem }) => ({
    line: lines.linePos(offsetOf(document, path, key)).line,
    text: problem,
  }));
  problems.sort((a, b) => a.line - b.line);
  throw new SlipwayError(
    'ERR_CONFIG_INVALID',
    problems.map((problem) => `${file}:${problem.line}: ${problem.text}`).join('\n'),
    'docs/configuration.md lists every key.',
  );
}

/** An alias inside the value that it stands for would never end. */
function checkAliases(document: Document, lines: LineCounter, file: string): void {
  visit(document, {
    Alias(_key, alias, path) {
      const { source } = alias;
      const target = alias.resolve(document);
      if (target !== undefined && !path.includes(target)) return;
      throw new SlipwayError(
        'ERR_CONFIG_SYNTAX',
        `${file}:${lines.linePos(alias.range?.[0] ?? 0).line}: the alias *${source} ${target === undefined ? `has no anchor &${source} before it` : 'is inside the value that it stands for'}`,
        'Write the value out, or move the anchor; text that begins with * needs quotes.',
      );
    },
  });
}

function plainValue(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES }) ?? {};
  } catch (cause) {
    // Aliases of aliases, which a few lines blow up to any size.
    throw new SlipwayError(
      'ERR_CONFIG_SYNTAX',
      `${file}: ${firstLine((cause as Error).message)}`,
      `Write the values out; aliases may expand to at most ${MAX_ALIASES} values.`,
      { cause },
    );
  }
}

/**
 * Where in the text the value at `path` (or the key `key` in it) stands; the nearest parent when it has no place of its
 * own.
 */
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

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? text;
}
