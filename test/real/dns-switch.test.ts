import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { DnsAsker } from '../support/dns-asker.ts';
import { canRunDnsHosts, type Daemon, DnsHost, guestOf, type Place } from '../support/dns-host.ts';

const [OLD, NEW] = ['127.0.0.2', '127.0.0.3'];
const [OF_OLD, OF_NEW] = ['0 answer name A 10.0.0.1', '0 answer name A 10.0.0.2'];
const FROM_NEW = `nameserver ${NEW}\n`;
const LIMITS = { timeout: 60_000 };
const CLIENTS = 10;
const IN_FLIGHT = 300;
/** Answers before the switch, and answers to questions that came surely after it. */
const SPAN = 600;
const LATE_SPAN = 300;
/** How long ago Slipway may have looked at resolv.conf (system-config.ts). */
const LOOK_MS = 20;

interface SwitchHost {
  readonly host: DnsHost;
  readonly old: Daemon;
  readonly guest: Place;
}

/**
 * Who answers shows in the address: 10.0.0.1 is the old server, 10.0.0.2 the new one. Answers may be kept for 5
 * minutes.
 */
async function switchHost(t: TestContext): Promise<SwitchHost> {
  const host = await DnsHost.start(t, { resolvConf: `nameserver ${OLD}\n` });
  const old = await host.dnsmasq(OLD, 'address=/#/10.0.0.1', 'local-ttl=300');
  await host.dnsmasq(NEW, 'address=/#/10.0.0.2', 'local-ttl=300');
  return { host, old, guest: guestOf(await host.slipway()) };
}

/** Keeps 300 questions on their way, each for another name, and calls `change` in the middle of them. */
async function switchUnderQuestions(t: TestContext, guest: Place, change: () => void): Promise<void> {
  const askers: DnsAsker[] = [];
  for (let i = 0; i < CLIENTS; i++) askers.push(await DnsAsker.open(t, guest.namespace));
  // The guest's kernel keeps only so many datagrams until it knows the gateway's MAC address.
  await askers[0]!.ask('gateway.docker.internal');
  const answers: { readonly name: string; readonly said: string }[] = [];
  let asked = 0;
  let late = 0;
  let switchedMs = Number.POSITIVE_INFINITY;
  const askOn = async (asker: DnsAsker): Promise<void> => {
    // The signal: when one asker fails the others must not ask on for ever.
    while (late < LATE_SPAN && !t.signal.aborted) {
      const name = `n${asked++}.example`;
      const askedMs = performance.now();
      const { head, records } = await asker.ask(name);
      answers.push({ name, said: `${head.rcode} ${records.join(', ').replace(name, 'name')}` });
      if (answers.length === SPAN) {
        change();
        switchedMs = performance.now();
      }
      // Who asks later than that is answered after a look that saw the change.
      if (askedMs <= switchedMs + LOOK_MS) continue;
      late++;
      assert.equal(answers.at(-1)!.said, OF_NEW);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, (_, i) => askOn(askers[i % CLIENTS]!)));

  assert.equal(answers.length, asked, 'none is lost');
  assert.deepEqual(
    answers.filter(({ said }) => said !== OF_OLD && said !== OF_NEW),
    [],
    'none fails',
  );
  assert.equal(Math.max(...askers.map(({ strangers }) => strangers)), 0);
  // What the cache holds of the old server is not answered any more, though it might be kept for minutes.
  const early = answers.find(({ said }) => said === OF_OLD)!;
  assert.deepEqual((await askers[0]!.ask(early.name)).records, [`answer ${early.name} A 10.0.0.2`]);
}

const REPLACED: readonly [title: string, replace: (host: DnsHost) => void][] = [
  [
    'resolv.conf is renamed over under hundreds of questions, and the old server is gone: none is lost',
    (host) => host.rename('resolv.conf', FROM_NEW),
  ],
  [
    'resolv.conf is written in place under hundreds of questions, and the old server is gone: none is lost',
    (host) => host.write('resolv.conf', FROM_NEW),
  ],
];
for (const [title, replace] of REPLACED) {
  test(title, LIMITS, async (t) => {
    if (!canRunDnsHosts(t, 'dnsmasq')) return;
    const { host, old, guest } = await switchHost(t);
    await switchUnderQuestions(t, guest, () => {
      old.freeze();
      replace(host);
    });
    old.thaw();
  });
}

test(
  'resolv.conf, a link, is turned under hundreds of questions while the old server still answers',
  LIMITS,
  async (t) => {
    if (!canRunDnsHosts(t, 'dnsmasq')) return;
    const { host, guest } = await switchHost(t);
    host.link('resolv.conf', `nameserver ${OLD}\n`);
    assert.ok(host.isLink('resolv.conf'));
    await switchUnderQuestions(t, guest, () => host.link('resolv.conf', FROM_NEW));
  },
);

test('a guest keeps its own resolv.conf whatever the host does with its own', LIMITS, async (t) => {
  if (!canRunDnsHosts(t, 'dnsmasq', 'getent')) return;
  const { host, guest } = await switchHost(t);
  const own = await guest.succeed('cat', '/etc/resolv.conf');
  assert.match(own, /^nameserver 192\.168\.65\.1$/m);
  // The kernel takes the guest's mount away with the file below it, and another must come.
  const keepsOwn = async (): Promise<void> => {
    while ((await guest.run('cat', '/etc/resolv.conf')).stdout !== own) assert.ok(!t.signal.aborted, 'in time');
    assert.match(await guest.succeed('getent', 'ahostsv4', 'www.example'), /^10\.0\.0\.2 /);
  };
  host.rename('resolv.conf', FROM_NEW);
  await keepsOwn();
  host.write('resolv.conf', FROM_NEW);
  await keepsOwn();
  for (let turn = 0; turn < 3; turn++) {
    host.link('resolv.conf', FROM_NEW);
    await keepsOwn();
  }
  host.rename('resolv.conf', FROM_NEW);
  await keepsOwn();
  assert.equal(await host.succeed('cat', '/etc/resolv.conf'), FROM_NEW);
});
