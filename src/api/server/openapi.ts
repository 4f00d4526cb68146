import swagger from '@fastify/swagger';
import type { FastifySchema } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import type { OpenAPIV3_1 } from 'openapi-types';
import { z } from 'zod';
import type { ControlScope } from './control-server.ts';

const problemSchema = z
  .object({
    code: z.string().meta({ description: 'Stable: docs/errors.md' }),
    message: z.string().meta({ description: 'What failed and why' }),
    hint: z.string().meta({ description: 'What to do next; may be empty' }),
  })
  .meta({ id: 'Problem' });

const REFUSED = { description: 'Refused', content: { 'application/json': { schema: problemSchema } } };

/**
 * Serves what is added to the scope from now on as an OpenAPI 3.1 document; a path without a `summary` is not in it.
 */
export async function serveOpenApi(scope: ControlScope, version: string): Promise<void> {
  await scope.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Slipway control API', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
      servers: [{ url: '/' }],
      security: [{}, { token: [] }],
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    },
    transform: (route) => {
      const { schema, url } = route;
      if (schema?.summary === undefined) return { schema: { hide: true }, url };
      const operationId = operationIdOf(String(route.route.method), url);
      return jsonSchemaTransform({
        ...route,
        schema: {
          ...schema,
          operationId,
          response: { ...(schema.response as object), default: REFUSED },
        } as FastifySchema,
      });
    },
    transformObject: (document) => ofAnswers(jsonSchemaTransformObject(document) as OpenAPIV3_1.Document),
  });
  scope.get(
    '/openapi.json',
    { schema: { summary: 'This document', tags: ['status'], response: { 200: z.record(z.string(), z.unknown()) } } },
    () => scope.swagger() as unknown as Record<string, unknown>,
  );
}

/**
 * Every schema with an id is made twice, for requests and for answers; ours are of answers, in which a later version
 * may say more.
 */
function ofAnswers(document: OpenAPIV3_1.Document): OpenAPIV3_1.Document {
  const made = Object.entries(document.components?.schemas ?? {}).filter(([name]) => !name.endsWith('Input'));
  const schemas = JSON.parse(JSON.stringify(Object.fromEntries(made)), (key, value: unknown) =>
    key === 'additionalProperties' && value === false ? undefined : value,
  );
  return { ...document, components: { ...document.components, schemas } };
}

/** `get /v1/dns/zones/:name` is getDnsZonesByName. */
function operationIdOf(method: string, url: string): string {
  const words = url
    .replace(/^\/v1/, '')
    .split(/[/.]/)
    .filter(Boolean)
    .map((part) => (part.startsWith(':') ? `By${capital(part.slice(1))}` : capital(part)));
  return `${method.toLowerCase()}${words.join('')}`;
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
