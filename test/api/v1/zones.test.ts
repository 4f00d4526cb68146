import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ControlWorld, refusal } from '../control-world.ts';

const RECORDS = [
  { name: 'api', type: 'A', ttlSeconds: 5, address: '10.0.0.1' },
  { name: 'api', type: 'AAAA', address: 'fd00::1' },
  { name: '*.k8s', type: 'CNAME', target: 'ingress.dev.example' },
  { name: '_sip._tcp', type: 'SRV', priority: 0, weight: 0, port: 5060, target: '.' },
  { name: '@', type: 'MX', preference: 10, exchange: 'mail.dev.example' },
  { name: '@', type: 'TXT', text: 'v=spf1 -all' },
  { name: 'two', type: 'TXT', text: ['one', 'two'] },
  { name: 'long', type: 'TXT', text: 'ä'.repeat(300) },
] as const;

test('a zone is set, shown as it was written, and removed', async (t) => {
  const world = await ControlWorld.open(t);
  const zone = { defaultAddress: '192.168.65.254', defaultAtApex: true, ttlSeconds: 60, records: RECORDS };
  const set = await world.ask('PUT', '/v1/dns/zones/dev.example', { json: zone });
  assert.equal(set.status, 200, set.text);
  const { serial: _, records, ...shown } = set.json as { readonly serial: number; readonly records: object[] };
  const { records: __, ...settings } = zone;
  assert.deepEqual(shown, { name: 'dev.example', ...settings, builtIn: false, standing: [] });
  const byText = (list: readonly object[]): string[] =>
    list.map((one) => JSON.stringify(Object.entries(one).sort())).sort();
  assert.deepEqual(byText(records), byText(RECORDS));
  // What is shown may be sent back.
  const again = await world.ask('PUT', '/v1/dns/zones/dev.example', {
    json: { ...settings, name: 'dev.example', records },
  });
  assert.deepEqual(byText((again.json as { records: object[] }).records), byText(RECORDS));
  const whole = await world.ask('GET', '/v1/dns/zones/dev.example');
  const back = await world.ask('PUT', '/v1/dns/zones/dev.example', { json: whole.json });
  assert.equal(back.status, 200, back.text);
  const { serial: ___, ...same } = back.json as { readonly serial: number };
  const { serial: ____, ...before } = whole.json as { readonly serial: number };
  assert.deepEqual(same, before);
  assert.equal(((await world.ask('GET', '/v1/dns/zones')).json as object[]).length, 1);
  assert.equal((await world.ask('DELETE', '/v1/dns/zones/DEV.example.')).status, 204);
  assert.equal((await world.ask('DELETE', '/v1/dns/zones/dev.example')).status, 404);
});

test('records are added to a zone, and removed by name, by type or one by one', async (t) => {
  const world = await ControlWorld.open(t);
  await world.ask('PUT', '/v1/dns/zones/dev.example', { json: {} });
  const path = '/v1/dns/zones/dev.example/records';
  const a = (name: string, address: string): object => ({ name, type: 'A', address });
  const added = [
    a('one', '10.0.0.1'),
    a('one', '10.0.0.2'),
    a('two', '10.0.0.3'),
    { name: 'two', type: 'TXT', text: 'x' },
  ];
  const after = await world.ask('POST', path, { json: { records: added } });
  assert.equal((after.json as { records: object[] }).records.length, 4);
  const remove = async (...records: object[]): Promise<unknown> =>
    (await world.ask('DELETE', path, { json: { records } })).json;
  assert.deepEqual(await remove(a('one', '10.0.0.2')), { removed: 1 });
  assert.deepEqual(await remove({ name: 'two', type: 'TXT' }), { removed: 1 });
  assert.deepEqual(await remove({ name: 'one' }, { name: 'nothing' }), { removed: 1 });
  const left = (await world.ask('GET', '/v1/dns/zones/dev.example')).json as { records: object[] };
  assert.deepEqual(left.records, [{ name: 'two', type: 'A', address: '10.0.0.3' }]);
  const nowhere = await world.ask('POST', '/v1/dns/zones/no.example/records', { json: { records: added } });
  assert.deepEqual([refusal(nowhere).status, refusal(nowhere).code], [404, 'ERR_CONTROL_NOT_FOUND']);
});

test('a zone that cannot be is refused with the place in it', async (t) => {
  const world = await ControlWorld.open(t);
  const put = async (json: object): Promise<string> =>
    refusal(await world.ask('PUT', '/v1/dns/zones/dev.example', { json })).message;
  assert.match(
    await put({ records: [{ name: 'x', type: 'A', address: 'no' }] }),
    /^body\.records\.0\.address: expected an IPv4 address/,
  );
  assert.match(
    await put({ records: [{ name: 'x', type: 'LOC' }] }),
    /^body\.records\.0\.type: expected one of A, AAAA/,
  );
  assert.match(await put({ name: 'other.example' }), /^body\.name: expected dev\.example or nothing/);
  assert.match(await put({ name: 5 }), /^body\.name: /);
  assert.match(await put({ recordz: [] }), /^body\.recordz: unknown key; did you mean "records"\?/);
  const deep = await world.ask('PUT', '/v1/dns/zones/bad..name', { json: {} });
  assert.deepEqual(
    [refusal(deep).status, refusal(deep).message],
    [400, 'path.name: expected a host name such as host.docker.internal, found "bad..name"'],
  );
});

test('the cache is emptied on request', async (t) => {
  const world = await ControlWorld.open(t);
  assert.equal((await world.ask('POST', '/v1/dns/flush')).status, 204);
  assert.equal(world.flushes, 1);
});
