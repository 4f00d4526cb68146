import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import type { ZoneStore } from '../../../../src/services/dns/zones/zone-store.ts';
import { appendOpt } from '../../../../src/wire/dns-edns.ts';
import { needs } from '../../../support/needs.ts';
import { a, address, builtInStore, cname, queryFrom, txt } from './asking.ts';

/** Serves the store on loopback; returns what asks it with dig. */
async function served(t: TestContext, zones: ZoneStore): Promise<(...args: string[]) => Promise<string>> {
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  socket.on('message', (bytes, from) => {
    const query = queryFrom(bytes);
    const max = query?.edns?.udpBytes ?? 512;
    const answer = query === undefined ? undefined : zones.answer(query, max - 11);
    if (query === undefined || answer === undefined) return;
    const room = new Uint8Array(max);
    room.set(answer.message);
    const opt = { udpBytes: 1232, extendedRcode: 0, dnssecOk: false };
    const length = query.edns === undefined ? answer.message.length : appendOpt(room, answer.message.length, opt);
    socket.send(room.subarray(0, length), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  return async (...args) => {
    const { stdout } = await promisify(execFile)('dig', ['@127.0.0.1', '-p', String(port), '+nocookie', ...args]);
    return stdout;
  };
}

/** The records of one section of dig's output, blanks made one. */
function section(output: string, name: string): string[] {
  const text = new RegExp(`;; ${name} SECTION:\\n([^]*?)\\n\\n`).exec(output)?.[1] ?? '';
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.replaceAll(/\s+/g, ' '));
}

function zonesToServe(): ZoneStore {
  const zones = builtInStore('192.168.65.0/24');
  const v6 = Uint8Array.from([0xfd, ...new Array<number>(14).fill(0), 5]);
  zones.setZone({
    name: 'dev.example',
    ttlSeconds: 60,
    defaultAddress: address('10.9.9.9'),
    records: [
      { name: 'api', data: a('10.0.0.1') },
      { name: 'api', data: a('10.0.0.2') },
      { name: 'api', data: { type: 'AAAA', address: v6 } },
      { name: 'www', data: cname('api.dev.example') },
      { name: 'text', data: txt(`say "${'x'.repeat(254)}" \\ \u00e9`) },
      { name: '_sip._tcp', data: { type: 'SRV', priority: 1, weight: 2, port: 5060, target: 'api.dev.example' } },
      { name: '@', data: { type: 'MX', preference: 10, exchange: 'api.dev.example' } },
      { name: 'pointer', data: { type: 'PTR', target: 'api.dev.example' } },
      { name: '*.wild', ttlSeconds: 5, data: txt('any') },
    ],
  });
  return zones;
}

test('dig understands every type of answer', async (t) => {
  if (!needs(t, 'dig')) return;
  const dig = await served(t, zonesToServe());
  const answer = async (...args: string[]): Promise<string[]> => section(await dig(...args), 'ANSWER');
  assert.deepEqual(await answer('api.dev.example', 'A'), [
    'api.dev.example. 60 IN A 10.0.0.1',
    'api.dev.example. 60 IN A 10.0.0.2',
  ]);
  assert.deepEqual(await answer('api.dev.example', 'AAAA'), ['api.dev.example. 60 IN AAAA fd00::5']);
  assert.deepEqual(await answer('www.dev.example', 'AAAA'), [
    'www.dev.example. 60 IN CNAME api.dev.example.',
    'api.dev.example. 60 IN AAAA fd00::5',
  ]);
  assert.deepEqual(await answer('text.dev.example', 'TXT'), [
    `text.dev.example. 60 IN TXT "say \\"${'x'.repeat(250)}" "xxxx\\" \\\\ \\195\\169"`,
  ]);
  assert.deepEqual(await answer('_sip._tcp.dev.example', 'SRV'), [
    '_sip._tcp.dev.example. 60 IN SRV 1 2 5060 api.dev.example.',
  ]);
  assert.deepEqual(await answer('dev.example', 'MX'), ['dev.example. 60 IN MX 10 api.dev.example.']);
  assert.deepEqual(await answer('dev.example', 'NS'), ['dev.example. 60 IN NS gateway.docker.internal.']);
  assert.match((await answer('dev.example', 'SOA'))[0] ?? '', /^dev\.example\. 60 IN SOA gateway\.docker\.internal\. /);
  assert.deepEqual(await answer('pointer.dev.example', 'PTR'), ['pointer.dev.example. 60 IN PTR api.dev.example.']);
  assert.deepEqual(await answer('a.b.wild.dev.example', 'TXT'), ['a.b.wild.dev.example. 5 IN TXT "any"']);
  assert.deepEqual(await answer('whatever.dev.example', 'A'), ['whatever.dev.example. 60 IN A 10.9.9.9']);
  assert.deepEqual(await answer('-x', '192.168.65.254'), [
    '254.65.168.192.in-addr.arpa. 10 IN PTR host.docker.internal.',
  ]);
  assert.equal((await answer('api.dev.example', 'ANY', '+notcp')).length, 3);
});

test('dig sees authority, SOA and rcode of what is not there, and additional records', async (t) => {
  if (!needs(t, 'dig')) return;
  const dig = await served(t, zonesToServe());
  const nodata = await dig('host.docker.internal', 'AAAA');
  assert.match(nodata, /status: NOERROR/);
  assert.match(nodata, /flags: qr aa rd/);
  assert.match(section(nodata, 'AUTHORITY')[0] ?? '', /^docker\.internal\. 10 IN SOA gateway\.docker\.internal\. /);
  const nobody = await dig('nobody.docker.internal', 'A', '+noedns');
  assert.match(nobody, /status: NXDOMAIN/);
  assert.match(section(nobody, 'AUTHORITY')[0] ?? '', / SOA /);
  assert.match(await dig('-x', '192.168.65.99'), /status: NXDOMAIN/);
  assert.equal(section(await dig('dev.example', 'MX'), 'ADDITIONAL').length, 3);
});

test('dig’s own case comes back', async (t) => {
  if (!needs(t, 'dig')) return;
  const dig = await served(t, zonesToServe());
  const output = await dig('HoSt.DOCKER.internal', 'A');
  assert.deepEqual(section(output, 'QUESTION'), [';HoSt.DOCKER.internal. IN A']);
  assert.deepEqual(section(output, 'ANSWER'), ['HoSt.DOCKER.internal. 10 IN A 192.168.65.254']);
});
