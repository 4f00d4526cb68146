import type { FastifySchema, FastifySchemaCompiler } from 'fastify';
import { z } from 'zod';
import { schemaProblems } from '../../config/schema-problem.ts';
import { keysUnder } from '../../config/schema-parts.ts';
import { invalidRequest } from './problem.ts';

const PARTS: Readonly<Record<string, string>> = {
  body: 'body',
  querystring: 'query',
  params: 'path',
  headers: 'headers',
};

/** Checks a part of the request; what is wrong names each field: `body.host: expected …, found …`. */
export const schemaValidator: FastifySchemaCompiler<FastifySchema> = ({ schema, httpPart = '' }) => {
  if (!(schema instanceof z.ZodType)) throw new TypeError('a route has a schema that is not zod’s');
  return (data: unknown) => {
    // fastify has null for a body that is not there.
    const raw: unknown = data ?? undefined;
    const result = schema.safeParse(raw);
    if (result.success) return { value: result.data };
    const problems = schemaProblems(result.error.issues, raw, (path) => keysUnder(schema, path));
    const part = PARTS[httpPart] ?? httpPart;
    const lines = problems.map(({ text }) => `${part}${/^(expected|:)/.test(text) ? ': ' : '.'}${text}`);
    return { error: invalidRequest(lines.join('; ')) };
  };
};
