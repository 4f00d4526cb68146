import type { z } from 'zod';
import { editDistance } from './edit-distance.ts';
import { shown } from './values.ts';

/** What does not fit a schema, for a person. */
export interface SchemaProblem {
  /** Where; with `key`, the unknown key there. */
  readonly path: readonly PropertyKey[];
  readonly key?: string;
  /** `dns.ttlSeconds: expected …, found …` */
  readonly text: string;
}

/**
 * The problems of `raw`. `known` are the keys allowed under a path, for "did you mean".
 */
export function schemaProblems(
  issues: readonly z.core.$ZodIssue[],
  raw: unknown,
  known: (path: readonly PropertyKey[]) => readonly string[],
): SchemaProblem[] {
  return issues.flatMap((issue): SchemaProblem[] => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({
        path: issue.path,
        key,
        text: `${[...issue.path, key].join('.')}: unknown key${suggestion(key, known(issue.path))}`,
      }));
    }
    const found =
      issue.code === 'custom' && issue.params?.found !== undefined
        ? (issue.params.found as unknown)
        : issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | null | undefined)?.[key], raw);
    const where = issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
    return [{ path: issue.path, text: `${where}expected ${expectation(issue)}, found ${shown(found)}` }];
  });
}

/** How zod's own texts begin. A schema's own text is already written for people. */
const ZODS_OWN = /^(?:Too (?:small|big)|Invalid)\b/;

const KINDS: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'keys with values',
  record: 'keys with values',
  string: 'a text',
  int: 'an integer',
  boolean: 'true or false',
};

/** The words behind "expected". */
function expectation(issue: z.core.$ZodIssue): string {
  if (issue.code !== 'invalid_type' && !ZODS_OWN.test(issue.message)) return issue.message;
  switch (issue.code) {
    case 'invalid_type':
      return KINDS[issue.expected] ?? `a ${issue.expected}`;
    case 'invalid_value':
      return `one of ${issue.values.map((word) => (word === '' ? 'nothing' : String(word))).join(', ')}`;
    case 'too_small':
      return `at least ${amount(issue.minimum, issue.origin)}`;
    case 'too_big':
      return `at most ${amount(issue.maximum, issue.origin)}`;
    default:
      return 'another value';
  }
}

/** "1", "1 entry", "32 characters" */
function amount(count: number | bigint, of: string): string {
  const one = Number(count) === 1;
  if (of === 'array') return `${count} ${one ? 'entry' : 'entries'}`;
  return of === 'string' ? `${count} character${one ? '' : 's'}` : String(count);
}

function suggestion(key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  if (near !== undefined) return `; did you mean "${near}"?`;
  return known.length > 0 ? ` (known here: ${known.join(', ')})` : '';
}

/** The word at most two edits away, if any. */
function nearest(word: string, candidates: readonly string[]): string | undefined {
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
