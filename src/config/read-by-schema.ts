import type { z } from 'zod';
import { schemaProblems } from './schema-problem.ts';
import { keysUnder } from './schema-parts.ts';

/**
 * The value of `raw` by `schema`; otherwise the problems, one text each: `host: expected …, found …`. With `name`
 * each text says what it is a part of: `body.host: expected …, found …`. Never throws.
 */
export function readBySchema<T>(
  schema: z.ZodType<T>,
  raw: unknown,
  name = '',
): { readonly value: T } | { readonly problems: readonly string[] } {
  const result = schema.safeParse(raw);
  if (result.success) return { value: result.data };
  const found = schemaProblems(result.error.issues, raw, (path) => keysUnder(schema, path));
  if (name === '') return { problems: found.map(({ text }) => text) };
  return {
    problems: found.map(({ path, key, text }) => `${name}${path.length > 0 || key !== undefined ? '.' : ': '}${text}`),
  };
}
