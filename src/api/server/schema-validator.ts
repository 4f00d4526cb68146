import type { FastifySchema, FastifySchemaCompiler } from 'fastify';
import { z } from 'zod';
import { readBySchema } from '../../config/read-by-schema.ts';
import { invalidRequest } from './problem.ts';

const PARTS: Readonly<Record<string, string>> = { querystring: 'query', params: 'path' };

/** Checks a part of the request; what is wrong names each field: `body.host: expected …, found …`. */
export const schemaValidator: FastifySchemaCompiler<FastifySchema> = ({ schema, httpPart = '' }) => {
  if (!(schema instanceof z.ZodType)) throw new TypeError('a route has a schema that is not a zod schema');
  return (data: unknown) => {
    // fastify has null for a body that is not there.
    const read = readBySchema(schema, data ?? undefined, PARTS[httpPart] ?? httpPart);
    return 'problems' in read ? { error: invalidRequest(read.problems.join('; ')) } : read;
  };
};
