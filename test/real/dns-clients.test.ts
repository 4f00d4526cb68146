import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { DNS_TYPE_TXT } from '../../src/wire/dns-message.ts';
import { DnsAsker } from '../support/dns-asker.ts';
import { canRunDnsHosts, DnsHost, guestOf } from '../support/dns-host.ts';
import type { Read } from '../support/dns-messages.ts';
import { canRunStreamGuests, plugGuest } from '../support/stream-guest.ts';

const NAMESERVER = '127.0.0.2';
const SILENT = '127.0.0.3';
const LIMITS = { timeout: 60_000 };
const CLIENTS = 1_000;
const NAMES_OF_CLIENT = 20;
const NAMES = 5_000;
/** As musl does. */
const RETRY_MS = 2_500;

/** The right answer stands in the name. */
const nameOf = (number: number): string => `10-7-${number >> 8}-${number & 255}.by.example`;
const addressOf = (number: number): string => `10.7.${number >> 8}.${number & 255}`;

/** Asks, and once more when no answer comes. */
async function askTwice(asker: DnsAsker, name: string): Promise<Read> {
  const first = asker.ask(name);
  let timer: NodeJS.Timeout | undefined;
  const second = new Promise<Read>((resolve) => {
    timer = setTimeout(() => void asker.ask(name).then(resolve), RETRY_MS);
  });
  const answer = await Promise.race([first, second]);
  clearTimeout(timer);
  return answer;
}

test(
  'a thousand clients at once are each told what they asked, of cold names and of cached ones',
  LIMITS,
  async (t) => {
    if (!canRunDnsHosts(t, 'dnsmasq')) return;
    const host = await DnsHost.start(t, { resolvConf: `nameserver ${NAMESERVER}\n` });
    await host.dnsmasq(NAMESERVER, 'synth-domain=by.example,10.7.0.0/16', 'local-ttl=600');
    const slipway = await host.slipway();
    const { namespace } = guestOf(slipway);
    const askers = await Promise.all(Array.from({ length: CLIENTS }, () => DnsAsker.open(t, namespace)));
    // The guest's kernel keeps only so many datagrams until it knows the gateway's MAC address.
    await askers[0]!.ask('gateway.docker.internal');

    for (const state of ['cold', 'cached']) {
      const wrong: string[] = [];
      await Promise.all(
        askers.map(async (asker, client) => {
          for (let i = 0; i < NAMES_OF_CLIENT; i++) {
            const number = (client * NAMES_OF_CLIENT + i * 7) % NAMES;
            const { head, records } = await askTwice(asker, nameOf(number));
            const right = head.rcode === 0 && records.join() === `answer ${nameOf(number)} A ${addressOf(number)}`;
            if (!right) wrong.push(`${nameOf(number)}: ${head.rcode} ${records.join()}`);
          }
        }),
      );
      assert.deepEqual(wrong, [], state);
      assert.equal(
        askers.reduce((sum, { strangers }) => sum + strangers, 0),
        0,
        state,
      );
    }
    assert.ok((await slipway.counter('dns-cache-hit')) >= CLIENTS * NAMES_OF_CLIENT);
  },
);

test('a hundred clients that ask the same at once are one question to the nameserver', LIMITS, async (t) => {
  if (!canRunDnsHosts(t, 'dnsmasq')) return;
  const host = await DnsHost.start(t, { resolvConf: `nameserver ${NAMESERVER}\n` });
  // A TTL of 0: no cache helps, only that the question is on its way.
  const server = await host.dnsmasq(NAMESERVER, 'log-queries', 'txt-record=same.example,same', 'local-ttl=0');
  const slipway = await host.slipway();
  const { namespace } = guestOf(slipway);
  const askers = await Promise.all(Array.from({ length: 100 }, () => DnsAsker.open(t, namespace)));
  await askers[0]!.ask('gateway.docker.internal');
  server.freeze();
  const asked = askers.map((asker) => asker.ask('same.example', DNS_TYPE_TXT));
  await slipway.reaches(({ counters }) => counters['dns-joined'] === 99, 'all ask');
  server.thaw();
  for (const { records } of await Promise.all(asked)) assert.deepEqual(records, ['answer same.example TXT "same"']);
  const heard = server.said.filter((line) => line.includes('query[TXT] same.example from '));
  // One, and what was asked again because the nameserver was silent.
  assert.ok(heard.length > 0 && heard.length < 7, heard.join('\n'));
});

test('a guest that floods, with living names and dead ones, takes nothing from the other guest', LIMITS, async (t) => {
  if (!canRunDnsHosts(t, 'dnsmasq') || !canRunStreamGuests(t)) return;
  const host = await DnsHost.start(t, { resolvConf: `nameserver ${NAMESERVER}\n` });
  await host.dnsmasq(NAMESERVER, 'synth-domain=by.example,10.7.0.0/16', 'local-ttl=600');
  const silent = await host.dnsmasq(SILENT);
  silent.freeze();
  const socket = join(host.folder, 'guest.sock');
  const slipway = await host.slipway(
    { queriesPerSecond: 1_000, lookups: 64, rules: { 'dead.example': [SILENT] } },
    { listen: [`qemu+unix://${socket}`] },
  );
  const other = await plugGuest(t, { socket, address: '192.168.65.77' });
  const flooder = await DnsAsker.open(t, guestOf(slipway).namespace);
  const calm = await DnsAsker.open(t, other.namespace);
  for (const asker of [flooder, calm]) await asker.ask('gateway.docker.internal');

  // More than the flooder's half of the lookups, each on its way for 4.5 s.
  const dead = Array.from({ length: 100 }, (_, i) => flooder.ask(`n${i}.dead.example`));
  const refused = (await Promise.race(dead)).head.rcode;
  assert.equal(refused, 2, 'the flooder itself hears that it is too much');
  const flood = setInterval(() => {
    for (let i = 0; i < 200; i++) void flooder.ask(nameOf(i));
  }, 1);
  t.after(() => clearInterval(flood));
  await slipway.reaches(({ counters }) => (counters['dns-over-limit'] ?? 0) > 0, 'the flood is above the limit');
  for (let i = 0; i < 100; i++) {
    const { head, records } = await askTwice(calm, nameOf(10_000 + i));
    assert.equal(head.rcode, 0);
    assert.deepEqual(records, [`answer ${nameOf(10_000 + i)} A ${addressOf(10_000 + i)}`]);
  }
  const { counters } = await slipway.status();
  assert.ok((counters['dns-busy'] ?? 0) >= 100 - 32);
  assert.equal(calm.strangers, 0);
  silent.thaw();
});
