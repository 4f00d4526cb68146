import { z } from 'zod';
import { Mismatch, type ValueParser } from './values.ts';

/**
 * What schemas are made of: zod, values that the parsers of `values.ts` read, maps whose keys are names, and objects
 * whose keys depend on one of their values. A key's file has its schema as a function of these parts, because zod takes
 * 20 MB and a tenth of a second, which a daemon without a file does not spend (`schema.ts` brings the two together).
 */
export interface SchemaParts {
  readonly z: typeof z;
  readonly value: typeof value;
  readonly entries: typeof entries;
  readonly oneOrMore: typeof oneOrMore;
  readonly list: typeof list;
  readonly oneShapeOf: typeof oneShapeOf;
  readonly textOr: typeof textOr;
}

/** One value. */
export function value<T>(parse: ValueParser<T>): z.ZodType<T> {
  const schema = z.unknown().transform((raw, context) => {
    const parsed = parse(raw);
    if (!(parsed instanceof Mismatch)) return parsed;
    context.issues.push({ code: 'custom', message: parsed.expected, input: raw });
    return z.NEVER;
  });
  const nothing = parse(undefined);
  // The words that refuse also describe, in the API's document and in docs/configuration.md.
  return nothing instanceof Mismatch ? schema.meta({ description: nothing.expected, ...nothing.json }) : schema;
}

/** The words that refuse a missing value. */
function words(parse: ValueParser<unknown>): string {
  const nothing = parse(undefined);
  return nothing instanceof Mismatch ? nothing.expected : 'anything';
}

/** A map from names to values, as entries in the order of the file. */
function entries<K, V>(
  parseKey: ValueParser<K>,
  parseValue: ValueParser<V>,
  most: number,
): z.ZodType<(readonly [K, V])[]> {
  const schema = z.record(z.string(), z.unknown()).transform((raw, context) => {
    const parsed: (readonly [K, V])[] = [];
    if (Object.keys(raw).length > most) {
      context.issues.push({ code: 'custom', message: `at most ${most} entries`, input: raw });
      return z.NEVER;
    }
    for (const [name, text] of Object.entries(raw)) {
      const [key, content] = [parseKey(name), parseValue(text)];
      if (key instanceof Mismatch) {
        // The name is what does not fit, not what stands beside it.
        context.issues.push({
          code: 'custom',
          message: key.expected,
          input: raw,
          path: [name],
          params: { found: name },
        });
      } else if (content instanceof Mismatch) {
        context.issues.push({ code: 'custom', message: content.expected, input: raw, path: [name] });
      } else parsed.push([key, content]);
    }
    return parsed;
  });
  return schema.meta({ description: `at most ${most} entries: ${words(parseKey)}: ${words(parseValue)}` });
}

/** One value or a list of one and more. */
function oneOrMore<T>(parse: ValueParser<T>): ValueParser<readonly T[]> {
  return (raw) => {
    const list = Array.isArray(raw) ? (raw as unknown[]) : [raw];
    if (list.length === 0) return parse(undefined) as Mismatch;
    const parsed: T[] = [];
    for (const one of list) {
      const result = parse(one);
      if (result instanceof Mismatch) return result;
      parsed.push(result);
    }
    return parsed;
  };
}

/** At most `most` values. */
function list<T>(parse: ValueParser<T>, most: number): z.ZodArray<z.ZodType<T>> {
  return z.array(value(parse)).max(most, `at most ${most} entries`);
}

const KEYS = new WeakMap<z.ZodType, readonly string[]>();

/** One shape of `oneShapeOf`: what it becomes, and the keys that it has. */
export interface ShapeChoice<T> {
  readonly schema: z.ZodType<T>;
  readonly keys: readonly string[];
}

/** An object whose key `choice` says which other keys it has. */
function oneShapeOf<T>(choice: string, shapes: Readonly<Record<string, ShapeChoice<T>>>): z.ZodType<T> {
  const schema = z.record(z.string(), z.unknown()).transform((raw, context): T => {
    const shape = shapes[String(raw[choice])];
    if (shape === undefined) {
      const message = `one of ${Object.keys(shapes).join(', ')}`;
      context.issues.push({ code: 'custom', message, input: raw, path: [choice] });
      return z.NEVER;
    }
    const result = shape.schema.safeParse(raw);
    if (result.success) return result.data;
    for (const issue of result.error.issues) context.issues.push({ ...issue, input: raw } as z.core.$ZodRawIssue);
    return z.NEVER;
  });
  const described: z.ZodType<T> = schema.meta({
    oneOf: Object.entries(shapes).map(([name, { keys }]) => ({
      type: 'object',
      properties: { ...Object.fromEntries(keys.map((key) => [key, {}])), [choice]: { const: name } },
      required: [choice],
    })),
  });
  KEYS.set(described, [...new Set(Object.values(shapes).flatMap(({ keys }) => keys))]);
  return described;
}

/** A short text (or number) that `parse` reads, or the same with keys. */
function textOr<T>(parse: ValueParser<T>, shape: ShapeChoice<T>): z.ZodType<T> {
  const text = value(parse);
  const schema = z.unknown().transform((raw, context): T => {
    const result = (typeof raw === 'object' && raw !== null ? shape.schema : text).safeParse(raw);
    if (result.success) return result.data;
    for (const issue of result.error.issues) context.issues.push({ ...issue, input: raw } as z.core.$ZodRawIssue);
    return z.NEVER;
  });
  KEYS.set(schema, shape.keys);
  return schema;
}

/** The keys under `path` of `schema`; empty if there are none. */
export function keysUnder(schema: z.ZodType, path: readonly PropertyKey[]): readonly string[] {
  let at: z.core.$ZodType = schema;
  for (const key of path) {
    at = unwrapped(at);
    if (at instanceof z.ZodArray) at = at.element;
    else if (at instanceof z.ZodObject && at.shape[String(key)] !== undefined) at = at.shape[String(key)]!;
    else return [];
  }
  at = unwrapped(at);
  return at instanceof z.ZodObject ? Object.keys(at.shape) : (KEYS.get(at as z.ZodType) ?? []);
}

/** The schema inside of zod's wrappers: optional, default, and transforms. */
function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return unwrapped(schema.unwrap());
  if (schema instanceof z.ZodPipe && !KEYS.has(schema)) return unwrapped(schema.in);
  return schema;
}

export const schemaParts: SchemaParts = { z, value, entries, oneOrMore, list, oneShapeOf, textOr };
