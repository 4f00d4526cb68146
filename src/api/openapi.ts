import { z } from 'zod';
import type { ControlScope } from './control-server.ts';

declare module 'fastify' {
  interface FastifySchema {
    /** One line of the document; a path without it is not in it. */
    readonly summary?: string;
    readonly tag?: string;
    /** Of answers that are not JSON. */
    readonly produces?: string;
  }
}

type Json = Record<string, unknown>;

interface Described {
  readonly url: string;
  readonly method: string;
  readonly summary: string;
  readonly tag: string;
  readonly produces: string;
  readonly params: unknown;
  readonly querystring: unknown;
  readonly body: unknown;
  readonly response: Readonly<Record<string, unknown>>;
}

export const problemSchema: z.ZodType = z
  .object({
    code: z.string().meta({ description: 'Stable: docs/errors.md' }),
    message: z.string().meta({ description: 'What failed and why' }),
    hint: z.string().meta({ description: 'What to do next; may be empty' }),
  })
  .meta({ id: 'Problem' });

/** Gathers what is added to the scope from now on, and serves it as an OpenAPI 3.1 document at /openapi.json. */
export function serveOpenApi(scope: ControlScope, version: string): void {
  const routes: Described[] = [];
  scope.addHook('onRoute', ({ url, method, schema }) => {
    if (schema?.summary === undefined) return;
    for (const one of [method].flat()) {
      if (one === 'HEAD') continue;
      routes.push({
        url,
        method: one.toLowerCase(),
        summary: schema.summary,
        tag: schema.tag ?? 'control',
        produces: schema.produces ?? 'application/json',
        params: schema.params,
        querystring: schema.querystring,
        body: schema.body,
        response: (schema.response ?? {}) as Readonly<Record<string, unknown>>,
      });
    }
  });
  let document: Json | undefined;
  scope.get(
    '/openapi.json',
    { schema: { summary: 'This document', tag: 'status', response: { 200: z.record(z.string(), z.unknown()) } } },
    () => {
      document ??= openApi(routes, version);
      return document;
    },
  );
}

function openApi(routes: readonly Described[], version: string): Json {
  const components: Json = {};
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = route.url.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method]: operation(route, components) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Slipway control API', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url: '/' }],
    security: [{}, { token: [] }],
    paths,
    components: { schemas: components, securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
  };
}

function operation(route: Described, components: Json): Json {
  const { body } = route;
  const problem = {
    description: 'Refused',
    content: { 'application/json': { schema: described(problemSchema, 'output', components) } },
  };
  const answers = Object.entries(route.response).map(([status, schema]): [string, Json] => {
    const json = described(schema, 'output', components);
    const empty = status === '204';
    return [
      status,
      empty ? { description: 'Done' } : { description: 'Done', content: { [route.produces]: { schema: json } } },
    ];
  });
  return {
    summary: route.summary,
    operationId: operationId(route),
    tags: [route.tag],
    parameters: [
      ...parameters(route.params, 'path', components),
      ...parameters(route.querystring, 'query', components),
    ],
    ...(body !== undefined && {
      requestBody: {
        required: true,
        content: { 'application/json': { schema: described(body, 'input', components) } },
      },
    }),
    responses: { ...Object.fromEntries(answers), default: problem },
  };
}

/** `get /v1/dns/zones/:name` is getDnsZonesByName. */
function operationId({ method, url }: Described): string {
  const words = url
    .replace(/^\/v1/, '')
    .split(/[/.]/)
    .filter(Boolean)
    .map((part) => (part.startsWith(':') ? `By${capital(part.slice(1))}` : capital(part)));
  return `${method}${words.join('')}`;
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

function parameters(schema: unknown, place: 'path' | 'query', components: Json): Json[] {
  if (!(schema instanceof z.ZodObject)) return [];
  return Object.entries(schema.shape).map(([name, part]) => {
    const json = described(part, 'input', components);
    const required = place === 'path' || !(part as z.ZodType).safeParse(undefined).success;
    return { name, in: place, required, schema: json };
  });
}

/** A schema as JSON Schema; those with an id go among the components and are referred to. */
function described(schema: unknown, io: 'input' | 'output', components: Json): unknown {
  // Wrapped, so that a schema with an id is referred to like those inside of it.
  const wrapped = z.object({ it: schema as z.ZodType });
  const json = z.toJSONSchema(wrapped, {
    io,
    unrepresentable: 'any',
    override: ({ jsonSchema }) => refined(jsonSchema, io),
  });
  const text = JSON.stringify(json).replaceAll('"#/$defs/', '"#/components/schemas/');
  const { $defs, properties } = JSON.parse(text) as {
    readonly $defs?: Json;
    readonly properties: { readonly it: unknown };
  };
  Object.assign(components, $defs);
  return properties.it;
}

function refined(json: Json, io: 'input' | 'output'): void {
  // A later version may say more.
  if (io === 'output' && json.additionalProperties === false) delete json.additionalProperties;
  if (json.type !== undefined || typeof json.description !== 'string') return;
  const integer = /^an integer from (-?\d+) to (\d+)$/.exec(json.description);
  if (integer !== null)
    Object.assign(json, { type: 'integer', minimum: Number(integer[1]), maximum: Number(integer[2]) });
  const words = /^one of ([\w, -]+)$/.exec(json.description)?.[1];
  if (words !== undefined) Object.assign(json, { enum: words.split(', ') });
  if (json.description === 'true or false') json.type = 'boolean';
}
