import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { ControlWorld } from '../control-world.ts';

const METHODS = ['get', 'put', 'post', 'delete'];

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: object }[];
  readonly requestBody?: { readonly content: Record<string, { readonly schema: object }> };
  readonly responses: Record<string, { readonly content?: Record<string, { readonly schema: object }> }>;
}

interface Document {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, object> };
}

async function documentOf(world: ControlWorld): Promise<Document> {
  return (await world.ask('GET', '/openapi.json')).json as Document;
}

function* references(part: unknown): Generator<string> {
  if (typeof part !== 'object' || part === null) return;
  for (const [key, value] of Object.entries(part)) {
    if (key === '$ref') yield String(value);
    else yield* references(value);
  }
}

test('the document has every path, each operation once, with what it takes and answers', async (t) => {
  const document = await documentOf(await ControlWorld.open(t));
  assert.equal(document.openapi, '3.1.0');
  assert.deepEqual(Object.keys(document.paths).sort(), [
    '/openapi.json',
    '/v1/dns/flush',
    '/v1/dns/lookup',
    '/v1/dns/zones',
    '/v1/dns/zones/{name}',
    '/v1/dns/zones/{name}/records',
    '/v1/events',
    '/v1/flows',
    '/v1/flows/{id}',
    '/v1/forwards',
    '/v1/forwards/{id}',
    '/v1/guests',
    '/v1/leases',
    '/v1/services',
    '/v1/services/{id}',
    '/v1/status',
  ]);
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  assert.equal(new Set(operations.map(({ operation }) => operation.operationId)).size, operations.length);
  for (const { path, method, operation } of operations) {
    assert.ok(METHODS.includes(method) && operation.summary.length > 0, `${method} ${path}`);
    assert.ok(Object.keys(operation.responses).some((status) => /^20[014]$/.test(status)));
    assert.ok(operation.responses.default?.content !== undefined);
    const named = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    assert.deepEqual(
      (operation.parameters ?? []).filter((one) => one.in === 'path').map(({ name }) => name),
      named,
    );
  }
});

test('every reference leads somewhere, and every schema is one that a reader of JSON Schema takes', async (t) => {
  const document = await documentOf(await ControlWorld.open(t));
  const { schemas } = document.components;
  for (const reference of references(document)) {
    const name = /^#\/components\/schemas\/(\w+)$/.exec(reference)?.[1] ?? '';
    assert.ok(name in schemas, reference);
  }
  const $defs = JSON.parse(JSON.stringify(schemas).replaceAll('#/components/schemas/', '#/$defs/')) as Record<
    string,
    object
  >;
  for (const name of Object.keys(schemas)) z.fromJSONSchema({ $ref: `#/$defs/${name}`, $defs } as never);
  assert.deepEqual(Object.keys(schemas).sort(), [
    'AnswerRecord',
    'Flow',
    'Forward',
    'Guest',
    'Lease',
    'Lookup',
    'Problem',
    'Record',
    'Service',
    'Status',
    'Zone',
  ]);
});

test('what the paths answer is what the document says', async (t) => {
  const world = await ControlWorld.open(t);
  await world.ask('POST', '/v1/forwards', { json: { publish: '8080:80' } });
  await world.ask('POST', '/v1/services', { json: { port: 8000, target: '127.0.0.1:9000' } });
  await world.ask('PUT', '/v1/dns/zones/a.example', {
    json: { records: [{ name: 'x', type: 'A', address: '10.0.0.1' }] },
  });
  const document = await documentOf(world);
  const $defs = JSON.parse(
    JSON.stringify(document.components.schemas).replaceAll('#/components/schemas/', '#/$defs/'),
  ) as Record<string, object>;
  for (const path of [
    '/v1/status',
    '/v1/guests',
    '/v1/leases',
    '/v1/flows',
    '/v1/forwards',
    '/v1/services',
    '/v1/dns/zones',
  ]) {
    const said = document.paths[path]!.get!.responses['200']!.content!['application/json']!.schema;
    const schema = JSON.parse(JSON.stringify(said).replaceAll('#/components/schemas/', '#/$defs/')) as object;
    const { json } = await world.ask('GET', path);
    z.fromJSONSchema({ ...schema, $defs } as never).parse(json);
    assert.ok(!Array.isArray(json) || (json as unknown[]).length > 0, path);
  }
});
