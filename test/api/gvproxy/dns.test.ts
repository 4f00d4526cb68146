import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { AddressPatterns } from '../../../src/services/dns/zones/address-patterns.ts';
import { Zone } from '../../../src/services/dns/zones/zone.ts';
import { storedRecord } from '../../../src/services/dns/zones/zone-record.ts';
import { CompatWorld } from '../compat-world.ts';

interface GoZone {
  readonly Name: string;
  readonly Records: readonly Readonly<Record<string, string>>[] | null;
  readonly DefaultIP: string;
}

async function zones(world: CompatWorld): Promise<readonly GoZone[]> {
  return JSON.parse((await world.ask('GET', '/services/dns/all')).text);
}

async function zone(world: CompatWorld, name: string): Promise<GoZone | undefined> {
  return (await zones(world)).find(({ Name }) => Name === name);
}

const add = (world: CompatWorld, body: unknown): Promise<string> => world.said('POST', '/services/dns/add', body);

test('dns/all shows Go’s field names, and gateway and host of containers.internal', async (t) => {
  const world = await CompatWorld.open(t);
  const { text } = await world.ask('GET', '/services/dns/all');
  assert.ok(
    text.includes(
      '{"Name":"containers.internal.","Records":[{"Name":"host","IP":"192.168.65.254"},{"Name":"gateway","IP":"192.168.65.1"}],"DefaultIP":""}',
    ),
    text,
  );
});

test('dns/add appends a new zone, and puts newer records of one that is there before the older ones', async (t) => {
  const world = await CompatWorld.open(t);
  const record = (Name: string, IP: string): object => ({ Name, IP });
  assert.equal(await add(world, { name: 'testing.', records: [{ name: 'a', ip: '192.168.65.9' }] }), '200 ');
  assert.equal(await add(world, { Name: 'more.testing.', DefaultIP: '192.168.65.2' }), '200 ');
  assert.equal(
    await add(world, { Name: 'testing.', Records: [record('a', '192.168.65.8'), record('b', '192.168.65.7')] }),
    '200 ',
  );
  assert.deepEqual((await zones(world)).slice(-2), [
    {
      Name: 'testing.',
      Records: [record('a', '192.168.65.8'), record('b', '192.168.65.7'), record('a', '192.168.65.9')],
      DefaultIP: '',
    },
    { Name: 'more.testing.', Records: null, DefaultIP: '192.168.65.2' },
  ]);
  const stored = world.zones.list().find(({ name }) => name === 'testing');
  assert.deepEqual(
    stored?.records.map(({ name }) => name),
    ['a', 'b'],
    'the newest record of a name answers',
  );
});

test('dns/add takes the default address of the new one, also when that is none', async (t) => {
  const world = await CompatWorld.open(t);
  await add(world, { Name: 'testing.', DefaultIP: '192.168.65.2' });
  await add(world, { Name: 'testing.', Records: [{ Name: 'a', IP: '192.168.65.3' }] });
  assert.equal((await zone(world, 'testing.'))?.DefaultIP, '');
  await add(world, { Name: 'testing.', DefaultIP: '192.168.65.4' });
  assert.deepEqual(await zone(world, 'testing.'), {
    Name: 'testing.',
    Records: [{ Name: 'a', IP: '192.168.65.3' }],
    DefaultIP: '192.168.65.4',
  });
});

test('dns/add takes expressions, as CRC has them', async (t) => {
  const world = await CompatWorld.open(t);
  const record = { Regexp: 'crc-(.*?)-master-0', IP: '192.168.65.3' };
  assert.equal(await add(world, { Name: 'crc.testing.', Records: [record] }), '200 ');
  assert.deepEqual((await zone(world, 'crc.testing.'))?.Records, [
    { Name: '', IP: '192.168.65.3', Regexp: record.Regexp },
  ]);
});

test('a name has its own record, else the first expression that fits, else the default address', () => {
  const patterns = new AddressPatterns([
    { expression: '^api-', address: 1 },
    { expression: 'api', address: 2 },
  ]);
  const zone = new Zone('testing', { ttlSeconds: 0, defaultAddress: 3, defaultAtApex: false, patterns });
  zone.add(storedRecord('testing', { name: 'api-own', data: { type: 'A', address: 4 } }));
  const addresses = ['api-own', 'api-x', 'my.api', 'web'].map((name) => zone.find(`${name}.testing`)?.[0]?.data[0]);
  assert.deepEqual(
    addresses,
    [4, 1, 2, 3].map((address) => ({ type: 'A', address })),
  );
});

test('dns/add refuses what does not fit, and says where', async (t) => {
  const world = await CompatWorld.open(t);
  const rows: readonly [unknown, RegExp][] = [
    ['', /^the request has no body$/],
    ['[', /^the body is not JSON: /],
    [[], /^expected keys with values, found \[\]$/],
    [{ Name: 1 }, /^name: expected a text, found 1$/],
    [{ Name: 'a.', DefaultIP: 'x' }, /^defaultip: expected an IP address, found "x"$/],
    [{ Name: 'a.', Records: {} }, /^records: expected a list, found /],
    [{ Name: 'a.', Records: [{ Regexp: 'a(' }] }, /^records\.0\.regexp: expected an expression \(.*missing closing \)/],
  ];
  for (const [body, text] of rows) {
    const answer = await add(world, body);
    assert.match(answer, /^400 .*\n$/);
    assert.match(answer.slice('400 '.length).trimEnd(), text);
  }
  assert.equal(
    (await zones(world)).some(({ Name }) => Name === 'a.'),
    false,
  );
});

test('an expression takes a time that grows with the name alone, whatever it is', () => {
  const pattern = (expression: string): AddressPatterns => new AddressPatterns([{ expression, address: 1 }]);
  const rows: readonly [string, string, boolean][] = [
    ['(a*)*b', 'a'.repeat(250), false],
    ['(a|aa)+$', `${'a'.repeat(250)}b`, false],
    ['^api-[0-9]{1,3}$', 'api-12', true],
    ['^api-[0-9]{1,3}$', 'api-1234', false],
    ['^(?:web|www)\\.\\w+$', 'WWW.shop', true],
    ['^[^.]+$', 'a.b', false],
    ['[[:digit:]]x?\\d', '42', true],
  ];
  for (const [expression, name, matches] of rows)
    assert.equal(pattern(expression).find(name) === 1, matches, expression);
  // The last is Go’s own refusal: what repeats nothing a million times.
  for (const bad of [
    'a**',
    '*',
    '[z-a]',
    '(?=a)',
    'a{1001}',
    '\\',
    ')',
    '[a',
    '(a{1000}){1000}',
    '('.repeat(900),
    '((((){1000}){1000}){1000}){1000}',
  ]) {
    assert.throws(() => pattern(bad), /^Error: error parsing regexp: /, bad);
  }
});

test('tunnel: OK, then the bytes of both sides, those that came with the request too, each until its sender ends', async (t) => {
  const echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
  t.after(() => echo.close());
  const { port } = echo.address() as { port: number };
  const asked: unknown[] = [];
  const dial = async (address: number, guestPort: number): Promise<Socket> => {
    asked.push([address, guestPort]);
    if (guestPort === 1) throw new Error('refused');
    return connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  };
  const world = await CompatWorld.open(t, { dial });
  const talk = async (query: string, bytes: string): Promise<string> => {
    const socket = connect({ path: world.control.socket, allowHalfOpen: true });
    socket.end(`POST /tunnel${query} HTTP/1.1\r\nHost: any\r\nContent-Length: 0\r\n\r\n${bytes}`);
    let text = '';
    socket.setEncoding('latin1').on('data', (part: string) => {
      text += part;
    });
    await once(socket, 'close');
    return text;
  };
  assert.equal(await talk('?ip=192.168.65.3&port=8080', 'hello'), 'OKhello');
  assert.deepEqual(asked, [[0xc0a84103, 8080]]);
  assert.equal(await talk('?ip=192.168.65.3&port=1', 'hello'), 'OK', 'OK precedes the dial');
  assert.match(await talk('', ''), /^HTTP\/1\.1 500 [\s\S]*\r\n\r\nip is mandatory\n$/);
  assert.match(
    await talk('?ip=192.168.65.3&port=x', ''),
    /\r\n\r\nport: expected an integer from 1 to 65535, found "x"\n$/,
  );
});
