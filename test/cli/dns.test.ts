import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { readU16, writeU16 } from '../../src/wire/bytes.ts';
import { DNS_NXDOMAIN } from '../../src/wire/dns-message.ts';
import { answerBytes, dnsQuery } from '../support/dns-messages.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { slipway } from './slipway.ts';

/** A nameserver on loopback that knows one name; the file of a configuration that uses it. */
async function configured(t: TestContext): Promise<string> {
  const socket = createSocket('udp4', (message, from) => {
    const { name } = dnsQuery(message);
    const answer =
      name === 'www.corp.example'
        ? answerBytes(message, { answers: [{ owner: name, data: { type: 'A', address: 0x0a00_0001 } }] })
        : answerBytes(message, {}, 0, DNS_NXDOMAIN);
    writeU16(answer, 0, readU16(message, 0));
    socket.send(answer, from.port, from.address);
  });
  t.after(() => socket.close());
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address() as AddressInfo;
  // Nothing listens there: the port was ours a moment ago.
  const closed = createSocket('udp4').bind(0, '127.0.0.1');
  await once(closed, 'listening');
  const dead = (closed.address() as AddressInfo).port;
  closed.close();
  return file(
    `dns:
  rules:
    corp.example: ["127.0.0.1:${port}"]
    dead.example: ["127.0.0.1:${dead}"]
  zones:
    - name: dev.example
      records: [{ name: api, type: A, address: 10.9.8.7 }]
`,
  );
}

function file(text: string): string {
  const folder = temporaryFolder('test');
  const name = path.join(folder, 'slipway.yaml');
  writeFileSync(name, text);
  return name;
}

test('a lookup prints the records as zone files have them, and the response code', async (t) => {
  const { stdout, status } = await slipway(t, 'dns', 'lookup', 'Host.docker.internal');
  assert.match(stdout, /^Host\.docker\.internal\.\t10\tIN\tA\t192\.168\.65\.254\n; NOERROR, [\d.]+ ms\n$/);
  assert.equal(status, 0);
});

test('an address is looked up in reverse', async (t) => {
  const { stdout } = await slipway(t, 'dns', 'lookup', '192.168.65.1');
  assert.match(stdout, /^1\.65\.168\.192\.in-addr\.arpa\.\t10\tIN\tPTR\tgateway\.docker\.internal\.\n/);
});

test('the exit status tells records from none and from no good answer', async (t) => {
  const config = await configured(t);
  const lookup = (...args: string[]) => slipway(t, 'dns', 'lookup', '--config', config, ...args);
  const [found, none, noName, refused] = await Promise.all([
    lookup('www.corp.example'),
    lookup('api.dev.example', 'MX'),
    lookup('no.corp.example'),
    lookup('www.corp.example', '--internal'),
  ]);
  assert.equal(found.status, 0);
  assert.equal(none.status, 3);
  assert.match(none.stdout, /^; dev\.example\.\t10\tIN\tSOA.*\n; NOERROR, no MX record/);
  assert.equal(noName.status, 3);
  assert.match(noName.stdout, /^; NXDOMAIN/);
  assert.equal(refused.status, 4);
  assert.match(refused.stdout, /^; REFUSED/);
});

test('--explain tells server, rule, cache, nameserver, who decided, TTL and time', async (t) => {
  const config = await configured(t);
  const { stdout } = await slipway(t, 'dns', 'lookup', 'www.corp.example', '--explain', '--config', config);
  const lines = stdout.split('\n');
  assert.match(lines[0]!, /^The system server answers: no zone of Slipway has the name\.$/);
  assert.match(stdout, /^The rule for corp\.example sends it to 127\.0\.0\.1:\d+\.$/m);
  assert.match(stdout, /^The cache does not have it\.$/m);
  assert.match(stdout, /^Nameserver 127\.0\.0\.1:\d+ over UDP: NOERROR, \d+ bytes, after [\d.]+ ms\.$/m);
  assert.match(stdout, /^Answered by the nameserver with NOERROR: .+\.$/m);
  assert.match(stdout, /\n; NOERROR, TTL 60 s, [\d.]+ ms\n$/);
  const zone = await slipway(t, 'dns', 'lookup', 'api.dev.example', '--explain', '--config', config);
  assert.match(zone.stdout, /^The internal server answers: dev\.example is a zone of Slipway\.$/m);
});

test('a nameserver that is not there is SERVFAIL, with the reason', async (t) => {
  const config = await configured(t);
  const { stdout, status } = await slipway(
    t,
    'dns',
    'lookup',
    'a.dead.example',
    'TXT',
    '--explain',
    '--config',
    config,
  );
  assert.match(stdout, /ECONNREFUSED/);
  assert.match(stdout, /; SERVFAIL, error 22: /);
  assert.equal(status, 4);
});

test('--json prints one object with the records and the steps', async (t) => {
  const { stdout } = await slipway(t, 'dns', 'lookup', 'host.docker.internal', '--json');
  const found = JSON.parse(stdout);
  assert.equal(found.rcode, 'NOERROR');
  assert.deepEqual(found.answer, [
    { name: 'host.docker.internal.', ttlSeconds: 10, type: 'A', data: '192.168.65.254' },
  ]);
  assert.deepEqual(
    found.steps.map(({ kind }: { kind: string }) => kind),
    ['server', 'answer'],
  );
});

test('what is no name, no type or no address is a slip that is named', async (t) => {
  for (const [args, said] of [
    [['lookup', 'a..b'], /"a\.\.b" is not a domain name/],
    [['lookup', 'example.org', 'BOGUS'], /TYPE: expected a record type such as AAAA, MX or TYPE65, found "BOGUS"/],
    [['corefile', '--gateway', 'here'], /--gateway: expected .*, found "here"/],
    [['corefile', '--bind', 'docker0'], /--bind: expected an IP address, found "docker0"/],
  ] as const) {
    const { stderr, status } = await slipway(t, 'dns', ...args);
    assert.match(stderr, said);
    assert.match(stderr, /ERR_USAGE/);
    assert.equal(status, 2);
  }
});

test('the Corefile sends Slipway’s own zones to the internal server and the rest to the other', async (t) => {
  const config = await configured(t);
  const { stdout } = await slipway(
    t,
    'dns',
    'corefile',
    '--config',
    config,
    '--gateway',
    '10.0.2.2',
    '--bind',
    '127.0.0.1',
  );
  const internal = /^(.+) \{\n {4}bind 127\.0\.0\.1\n {4}errors\n {4}forward \. 10\.0\.2\.2:5301\n\}$/m.exec(stdout);
  const zones = internal?.[1]?.split(' ') ?? [];
  for (const zone of ['docker.internal', 'containers.internal', 'dev.example']) assert.ok(zones.includes(zone), zone);
  assert.ok(!zones.includes('vm.docker.internal'), 'what lies below another needs no word of its own');
  assert.match(
    stdout,
    /^\. \{\n {4}bind 127\.0\.0\.1\n {4}errors\n {4}loop\n {4}cache 30\n {4}forward \. 10\.0\.2\.2\n\}$/m,
  );
  const plain = await slipway(t, 'dns', 'corefile');
  assert.match(plain.stdout, /bind 127\.0\.0\.1 172\.17\.0\.1\n[^}]*forward \. 192\.168\.65\.1:5301/);
});
