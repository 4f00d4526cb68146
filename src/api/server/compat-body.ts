import { z } from 'zod';
import { schemaProblems } from '../../config/schema-problem.ts';

/** An object, a list in it, and the objects of that list: no body that fits is deeper. */
const LEVELS = 3;

/** A body that fits, or why it does not, for a person. */
export type CompatBody<T> = { readonly value: T } | { readonly error: string };

/** A text field of a body. Clients written in Go leave it out, or send null, for the empty one. */
export const textField: z.ZodType<string> = z
  .string()
  .nullish()
  .transform((said) => said ?? '');

/**
 * Reads a body of gvproxy's or vpnkit's API. `schema` has the names of fields in lower case: as in Go, case does not
 * count. Never throws.
 */
export function readCompatBody<T>(bytes: Uint8Array, schema: z.ZodType<T>): CompatBody<T> {
  if (bytes.length === 0) return { error: 'the request has no body' };
  let body: unknown;
  try {
    body = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch (error) {
    return { error: `the body is not JSON: ${(error as Error).message}` };
  }
  const fields = inLowerCase(body ?? {}, LEVELS);
  const read = schema.safeParse(fields);
  if (read.success) return { value: read.data };
  const [problem] = schemaProblems(read.error.issues, fields, () => []);
  return { error: problem?.text ?? 'the body does not fit' };
}

function inLowerCase(raw: unknown, levels: number): unknown {
  if (typeof raw !== 'object' || raw === null || levels === 0) return raw;
  if (Array.isArray(raw)) return raw.map((one) => inLowerCase(one, levels - 1));
  return Object.fromEntries(
    Object.entries(raw).map(([key, value]) => [key.toLowerCase(), inLowerCase(value, levels - 1)]),
  );
}
