/**
 * The table of keys in docs/configuration.md, made from the schema: `node scripts/configuration-table.ts` writes it
 * anew, and a test compares the two.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { forwardShape } from '../src/config/forwards.ts';
import { configSchema } from '../src/config/schema.ts';
import { schemaParts } from '../src/config/schema-parts.ts';

interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly const?: string;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly oneOf?: readonly JsonSchema[];
}

const DOCUMENT = new URL('../docs/configuration.md', import.meta.url);
const HEADER = '| key | takes |\n|---|---|\n';

/** The table as the schema has it. */
export function configurationTable(): string {
  const rows = rowsOf('', jsonOf(configSchema));
  return HEADER + rows.map(([key, takes]) => `| \`${key}\` | ${takes.replaceAll('|', '\\|')} |\n`).join('');
}

/** The table in `document`; '' where there is none. */
export function tableIn(document: string): string {
  const start = document.indexOf(HEADER);
  const end = document.indexOf('\n\n', start);
  return start < 0 ? '' : document.slice(start, end < 0 ? undefined : end + 1);
}

function jsonOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
}

function rowsOf(key: string, schema: JsonSchema): [string, string][] {
  const { description, properties, items, oneOf } = schema;
  if (properties !== undefined) {
    return Object.entries(properties).flatMap(([name, one]) => rowsOf(key === '' ? name : `${key}.${name}`, one));
  }
  if (items !== undefined) {
    const amount = schema.maxItems === undefined ? 'a list' : `a list of at most ${schema.maxItems}`;
    if (items.description !== undefined) return [[key, `${amount}: ${items.description}`]];
    const entry = key === 'forwards' ? jsonOf(forwardShape(schemaParts).schema) : items;
    return [
      [key, key === 'forwards' ? `${amount}: a text such as 8080:80, or keys` : amount],
      ...rowsOf(`${key}[]`, entry),
    ];
  }
  if (oneOf !== undefined) return [[key, oneOf.map(shapeText).join('; ')]];
  return [[key, description ?? 'keys with values']];
}

/** "A: name, ttlSeconds, address" */
function shapeText({ properties = {} }: JsonSchema): string {
  const [choice] = Object.values(properties).flatMap((one) => one.const ?? []);
  const keys = Object.entries(properties).flatMap(([name, one]) => (one.const === undefined ? [name] : []));
  return `${choice}: ${keys.join(', ')}`;
}

if (process.argv[1] !== undefined && pathToFileURL(process.argv[1]).href === import.meta.url) {
  const document = readFileSync(DOCUMENT, 'utf8');
  writeFileSync(DOCUMENT, document.replace(tableIn(document), configurationTable()));
}
