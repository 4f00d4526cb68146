import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { Counters } from '../../../../src/env/counters.ts';
import { RecordedTrace } from '../../../../src/services/dns/lookup-trace.ts';
import { Forwarder } from '../../../../src/services/dns/upstream/forwarder.ts';
import { readU16 } from '../../../../src/wire/bytes.ts';
import { DNS_TYPE_TXT } from '../../../../src/wire/dns-message.ts';
import { needs } from '../../../support/needs.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { FakeNameserver } from './fake-nameserver.ts';
import { query, random } from './upstream-world.ts';

const TEXTS = Array.from({ length: 200 }, (_, i) => `${i}-`.padEnd(250, 't'));

/** A port of loopback that was free a moment ago. */
async function freePort(): Promise<number> {
  await using holder = await FakeNameserver.open();
  return holder.nameserver.port;
}

/** Runs a nameserver until the test ends; ready once it prints `word`. */
async function run(t: TestContext, program: string, args: readonly string[], word: RegExp): Promise<void> {
  const child: ChildProcess = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  t.after(async () => {
    if (child.exitCode === null) {
      child.kill();
      await once(child, 'exit');
    }
  });
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stderr! })) {
    said.push(line);
    if (word.test(line)) return;
  }
  assert.fail(`${program} did not start: ${said.join('\n')}`);
}

async function fetchBig(t: TestContext, port: number): Promise<void> {
  const forwarder = new Forwarder({
    system: { generation: 0, nameservers: () => [] },
    counters: new Counters(),
    random,
  });
  t.after(() => forwarder.close());
  const trace = new RecordedTrace();
  const nameservers = [{ address: '127.0.0.1', port }];
  const ask = (): ReturnType<Forwarder['ask']> =>
    forwarder.ask({ ...query('big.test', { type: DNS_TYPE_TXT }), trace }, nameservers);
  for (const result of await Promise.all(Array.from({ length: 20 }, ask))) {
    assert.ok(typeof result === 'object');
    assert.ok(result.message.length > 250 * TEXTS.length);
    assert.equal(readU16(result.message, 2) & 0x020f, 0);
  }
  const ways = trace.steps.map((step) => step.kind === 'upstream' && `${step.transport} ${step.outcome}`);
  assert.deepEqual(new Set(ways), new Set(['udp NOERROR, truncated', 'tcp NOERROR']));
}

test('dnsmasq: 50 kB of TXT come whole, over TCP', async (t) => {
  if (!needs(t, 'dnsmasq')) return;
  const port = await freePort();
  const folder = temporaryFolder('dnsmasq');
  const conf = join(folder, 'dnsmasq.conf');
  writeFileSync(conf, TEXTS.map((text) => `txt-record=big.test,${text}\n`).join(''));
  const args = [
    '-k',
    `--conf-file=${conf}`,
    '--no-resolv',
    '--no-hosts',
    `--port=${port}`,
    '--listen-address=127.0.0.1',
  ];
  args.push('--bind-interfaces', '--pid-file=', '--log-facility=-');
  await run(t, 'dnsmasq', args, /started, version/);
  await fetchBig(t, port);
});

test('unbound: 50 kB of TXT come whole, over one TCP connection', async (t) => {
  if (!needs(t, 'unbound')) return;
  const port = await freePort();
  const folder = temporaryFolder('unbound');
  const conf = join(folder, 'unbound.conf');
  const lines = ['server:', ' interface: 127.0.0.1', ` port: ${port}`, ' do-daemonize: no', ' use-syslog: no'];
  lines.push(' chroot: ""', ' username: ""', ` directory: "${folder}"`, ' pidfile: ""', ' num-threads: 1');
  lines.push(' verbosity: 1', ' module-config: "iterator"', ' local-zone: "test." static');
  lines.push(...TEXTS.map((text) => ` local-data: 'big.test. TXT "${text}"'`));
  writeFileSync(conf, `${lines.join('\n')}\nremote-control:\n control-enable: no\n`);
  await run(t, 'unbound', ['-d', '-c', conf], /start of service/);
  await fetchBig(t, port);
});
