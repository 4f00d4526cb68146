import assert from 'node:assert/strict';
import { existsSync, readFileSync, watch } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  BOUND,
  CLIENTS,
  type ClientName,
  canRunClient,
  DhcpClient,
  type DhcpClientOptions,
  RENEWED,
} from '../support/dhcp-clients.ts';
import { nsExec } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { Slipway } from '../support/slipway.ts';
import { execute } from '../support/sockets.ts';
import { canRunStreamGuests, plugGuest, type StreamGuest, TAP } from '../support/stream-guest.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const CONFIG = `
dhcp:
  leaseSeconds: 3600
  domain: corp.example
  search: [corp.example, example]
  ntp: [192.168.65.254]
  routes: [{ to: 10.9.0.0/16, via: 192.168.65.254 }]
  options: [{ code: 66, text: boot.example }]
  reservations:
    - { mac: "5a:94:ef:00:00:20", address: 192.168.65.32, name: by-mac }
    - { clientId: the-printer, address: 192.168.65.33, name: printer }
`;

/** As each client writes them: the static route, then the default one that RFC 3442 wants with it. */
const ROUTES: Readonly<Record<ClientName, string>> = {
  udhcpc: '10.9.0.0/16 192.168.65.254 0.0.0.0/0 192.168.65.1',
  dhclient: '16 10 9 192 168 65 254 0 192 168 65 1',
  dhcpcd: '10.9.0.0/16 192.168.65.254 0.0.0.0/0 192.168.65.1',
};

class Site {
  readonly slipway: Slipway;
  readonly #t: TestContext;
  readonly #socket: string;

  private constructor(t: TestContext, slipway: Slipway, socket: string) {
    this.#t = t;
    this.slipway = slipway;
    this.#socket = socket;
  }

  static async open(t: TestContext, config: string = CONFIG, engine: 'epoll' | 'node' = 'epoll'): Promise<Site> {
    const socket = join(temporaryFolder('dhcp'), 'net.sock');
    const options = { mtu: 1_400, guest: false, listen: [`qemu+unix://${socket}`], config, engine };
    return new Site(t, await Slipway.start(t, options), socket);
  }

  guest(mac?: string): Promise<StreamGuest> {
    return plugGuest(this.#t, { socket: this.#socket, ...(mac !== undefined && { mac }) });
  }

  client(name: ClientName, guest: StreamGuest, options: DhcpClientOptions = {}): DhcpClient {
    return new DhcpClient(this.#t, name, guest.namespace, options);
  }
}

function able(t: TestContext, ...clients: readonly ClientName[]): boolean {
  return canRunStreamGuests(t) && clients.every((client) => canRunClient(t, client));
}

for (const name of CLIENTS) {
  test(`${name} gets a lease, sees every option, renews and gives the address back`, { timeout: 60_000 }, async (t) => {
    if (!able(t, name)) return;
    const site = await Site.open(t);
    const guest = await site.guest();
    const client = site.client(name, guest, { hostName: 'laptop' });
    const lease = await client.hear(BOUND);
    const fact = (what: string): string | undefined => client.fact(lease, what);
    assert.equal(fact('address'), '192.168.65.3');
    assert.equal(fact('router'), '192.168.65.1');
    assert.equal(fact('dns'), '192.168.65.1');
    assert.match(fact('search') ?? '', /^corp\.example\.? example\.?$/);
    assert.equal(fact('ntp'), '192.168.65.254');
    assert.equal(fact('mtu'), '1400');
    assert.equal(fact('domain'), 'corp.example');
    assert.equal(fact('lease'), '3600');
    assert.equal(fact('boot'), 'boot.example');
    assert.equal(fact('routes'), ROUTES[name]);
    client.renew();
    const renewed = await client.hear(RENEWED);
    assert.equal(client.fact(renewed, 'address'), '192.168.65.3');
    assert.equal(await short(t, guest, 'laptop.vm.docker.internal'), '192.168.65.3\n');
    await client.release();
    await site.slipway.reaches(({ leases }) => leases.length === 0, 'the lease ends');
  });
}

test('udhcpc, which never asks for the MTU, is told one that is not 1500', { timeout: 60_000 }, async (t) => {
  if (!able(t, 'udhcpc')) return;
  const site = await Site.open(t, '');
  const client = site.client('udhcpc', await site.guest(), { modest: true });
  assert.equal(client.fact(await client.hear(BOUND), 'mtu'), '1400');
});

test('a reservation by MAC and one by client identifier hold, with their names', { timeout: 60_000 }, async (t) => {
  if (!able(t, ...CLIENTS)) return;
  const site = await Site.open(t);
  const byMac = await site.guest('5a:94:ef:00:00:20');
  const mac = site.client('udhcpc', byMac, { hostName: 'printer' });
  assert.equal(mac.fact(await mac.hear(BOUND), 'address'), '192.168.65.32');
  // The two forms of a text: dhclient sends it by itself, dhcpcd after a type byte.
  for (const name of ['dhclient', 'dhcpcd'] as const) {
    const guest = await site.guest();
    const client = site.client(name, guest, { clientId: 'the-printer', hostName: 'anything' });
    const lease = await client.hear(BOUND);
    assert.equal(client.fact(lease, 'address'), '192.168.65.33', name);
    assert.equal(client.fact(lease, 'name'), 'printer', name);
    assert.equal(await short(t, guest, 'printer.vm.docker.internal'), '192.168.65.33\n');
    await client.release();
    await site.slipway.reaches(({ leases }) => leases.length === 1, 'the lease ends');
    // What still answers ARP for it would keep it from the next one.
    nsExec(guest.namespace, 'ip', 'address', 'flush', 'dev', TAP);
  }
  const { leases } = await site.slipway.status();
  assert.deepEqual(
    leases.map(({ name }) => name),
    ['by-mac'],
  );
  assert.equal(await short(t, byMac, 'by-mac.vm.docker.internal'), '192.168.65.32\n');
});

test('two clients at once get two addresses, two names, and nobody takes the name of another', {
  timeout: 60_000,
}, async (t) => {
  if (!able(t, 'udhcpc', 'dhclient')) return;
  const site = await Site.open(t);
  const [one, two] = [await site.guest(), await site.guest()];
  const [first, second] = [
    site.client('udhcpc', one, { hostName: 'Web' }),
    site.client('dhclient', two, { hostName: 'printer' }),
  ];
  const addresses = [first.fact(await first.hear(BOUND), 'address'), second.fact(await second.hear(BOUND), 'address')];
  assert.deepEqual([...addresses].sort(), ['192.168.65.3', '192.168.65.4']);
  assert.equal(await short(t, two, 'web.VM.docker.internal'), `${addresses[0]}\n`);
  // The name is reserved for someone else.
  assert.match(await dig(t, one, 'printer.vm.docker.internal'), /status: NXDOMAIN/);
  const pinged = await execute(t, one.namespace, 'ping', '-n', '-c', '1', '-W', '5', addresses[1]!);
  assert.equal(pinged.status, 0, pinged.stdout);
});

test('a name is there while the lease lives, as is its address’s, and NXDOMAIN afterwards', {
  timeout: 60_000,
}, async (t) => {
  if (!able(t, 'udhcpc') || !needs(t, 'dig')) return;
  const site = await Site.open(t);
  const [guest, other] = [await site.guest(), await site.guest()];
  const witness = site.client('udhcpc', other, { hostName: 'witness' });
  await witness.hear(BOUND);
  const client = site.client('udhcpc', guest, { hostName: 'laptop' });
  const address = client.fact(await client.hear(BOUND), 'address')!;
  assert.equal(await short(t, other, 'laptop.vm.docker.internal'), `${address}\n`);
  assert.match(await dig(t, other, '-x', address), /PTR\s+laptop\.vm\.docker\.internal\./);
  assert.match(await dig(t, other, 'AAAA', 'laptop.vm.docker.internal'), /status: NOERROR[\s\S]*ANSWER: 0/);
  await client.release();
  await site.slipway.reaches(({ leases }) => leases.length === 1, 'the lease ends');
  assert.match(await dig(t, other, 'laptop.vm.docker.internal'), /status: NXDOMAIN/);
  assert.equal(await short(t, other, 'vm.docker.internal'), '192.168.65.3\n');
});

test('a client that has its address by hand asks for the rest alone, and has no lease', {
  timeout: 60_000,
}, async (t) => {
  if (!able(t, 'dhcpcd')) return;
  const site = await Site.open(t);
  const guest = await site.guest();
  nsExec(guest.namespace, 'ip', 'address', 'add', '192.168.65.50/24', 'dev', TAP);
  const client = site.client('dhcpcd', guest, { informs: '192.168.65.50/24' });
  const told = await client.hear(new Set(['INFORM']));
  const facts = ['router', 'dns', 'ntp', 'domain', 'lease'].map((what) => client.fact(told, what));
  assert.deepEqual(facts, ['192.168.65.1', '192.168.65.1', '192.168.65.254', 'corp.example', undefined]);
  assert.deepEqual((await site.slipway.status()).leases, []);
});

test('a client that finds its address in use declines it, and has another', { timeout: 60_000 }, async (t) => {
  if (!able(t, 'udhcpc')) return;
  const site = await Site.open(t, 'dhcp: { probe: false }\n');
  const [guest, holder] = [await site.guest(), await site.guest()];
  // Slipway has heard nothing of its address, and is told not to ask. (Whoever never sent a frame is sent none.)
  const address = (verb: string, text: string): string =>
    nsExec(holder.namespace, 'ip', 'address', verb, text, 'dev', TAP);
  address('add', '192.168.65.60/24');
  nsExec(holder.namespace, 'ping', '-c', '1', '-W', '30', '192.168.65.1');
  address('del', '192.168.65.60/24');
  address('add', '192.168.65.3/24');
  const client = site.client('udhcpc', guest, { checks: true });
  assert.equal(client.fact(await client.hear(BOUND), 'address'), '192.168.65.4');
  assert.equal(await site.slipway.counter('dhcp-declined'), 1);
});

for (const name of CLIENTS) {
  test(`${name} has its address again after a restart of the daemon, at once and by name`, {
    timeout: 60_000,
  }, async (t) => {
    if (!able(t, name)) return;
    const state = temporaryFolder('dhcp');
    const memory = temporaryFolder('dhcp');
    const config = `${CONFIG}\nstate: ${state}\n`;
    const before = await Site.open(t, config);
    // The address is not the first one that is free, so it is remembered or it is not given.
    const other = before.client('udhcpc', await before.guest('02:00:00:00:00:01'));
    await other.hear(BOUND);
    const first = before.client(name, await before.guest('02:00:00:00:00:02'), { hostName: 'laptop', memory });
    const address = first.fact(await first.hear(BOUND), 'address')!;
    assert.equal(address, '192.168.65.4');
    // It writes its own lease down after it has told of it.
    if (name === 'dhclient') await holds(join(memory, 'leases'), address);
    await first.kill();
    if (name === 'dhclient') {
      // One that is killed has written all that is older than a moment.
      await holds(join(state, 'leases-192.168.65.0-24.json'), address);
      process.kill(before.slipway.pid, 'SIGKILL');
    }
    await before.slipway.stop();

    const after = await Site.open(t, config);
    const guest = await after.guest('02:00:00:00:00:02');
    const [kept] = (await after.slipway.status()).leases.filter(({ name: called }) => called === 'laptop');
    assert.ok(kept !== undefined && kept.remainingMs > 0, 'the lease is known before its guest speaks');
    const again = after.client(name, guest, { hostName: 'laptop', memory });
    const lease = await again.hear(BOUND);
    assert.equal(again.fact(lease, 'address'), address);
    // udhcpc has no lease file to begin from: it asks for what is free, and the server knows it.
    if (name !== 'udhcpc') assert.equal(lease.event, 'REBOOT');
    assert.equal(await after.slipway.counter('dhcp-nak'), 0);
    assert.equal(await short(t, guest, 'laptop.vm.docker.internal'), `${address}\n`);
  });
}

for (const engine of ['epoll', 'node'] as const) {
  test(`leases and names outlive the death of the network thread, host engine ${engine}`, {
    timeout: 60_000,
  }, async (t) => {
    if (!able(t, 'udhcpc')) return;
    const site = await Site.open(t, CONFIG, engine);
    const guest = await site.guest();
    const client = site.client('udhcpc', guest, { hostName: 'laptop' });
    await client.hear(BOUND);
    site.slipway.fault('throw');
    await site.slipway.hear((said) => said.event === 'log' && String(said.message).startsWith('network thread died'));
    const { leases } = await site.slipway.status();
    assert.deepEqual(
      leases.map(({ name }) => name),
      ['laptop'],
    );
    const back = await site.guest();
    const other = site.client('udhcpc', back);
    assert.equal(other.fact(await other.hear(BOUND), 'address'), '192.168.65.4', 'the first guest’s stays its own');
    assert.equal(await short(t, back, 'laptop.vm.docker.internal'), '192.168.65.3\n');
  });
}

/** Waits for a text in a file that is replaced. */
async function holds(file: string, text: string): Promise<void> {
  const changes = watch(dirname(file));
  const next = (): Promise<unknown> => new Promise((resolve) => changes.once('change', resolve));
  try {
    for (let change = next(); !(existsSync(file) && readFileSync(file, 'utf8').includes(text)); change = next())
      await change;
  } finally {
    changes.close();
  }
}

function dig(t: TestContext, guest: StreamGuest, ...question: readonly string[]): Promise<string> {
  return execute(t, guest.namespace, 'dig', '@192.168.65.1', '+tries=1', ...question).then(({ stdout }) => stdout);
}

function short(t: TestContext, guest: StreamGuest, name: string): Promise<string> {
  return dig(t, guest, '+short', name);
}
