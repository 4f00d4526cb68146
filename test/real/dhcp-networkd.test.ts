import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BOUND, DhcpClient } from '../support/dhcp-clients.ts';
import type { TestNamespace } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { Slipway } from '../support/slipway.ts';
import { execute } from '../support/sockets.ts';
import { canRunStreamGuests, plugGuest, TAP } from '../support/stream-guest.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const NETWORKD = '/usr/lib/systemd/systemd-networkd';

const CONFIG = `
dhcp:
  domain: corp.example
  search: [corp.example, example]
  ntp: [192.168.65.254]
  routes: [{ to: 10.9.0.0/16, via: 192.168.65.254 }]
`;

const NETWORK = `[Match]
Name=${TAP}
[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no
[DHCPv4]
Hostname=laptop
UseMTU=yes
UseDomains=yes
UseHostname=no
`;

const LEASE = {
  ADDRESS: '192.168.65.4',
  NETMASK: '255.255.255.0',
  ROUTER: '192.168.65.1',
  SERVER_ADDRESS: '192.168.65.1',
  NEXT_SERVER: '192.168.65.1',
  MTU: '1400',
  LIFETIME: '86400',
  DNS: '192.168.65.1',
  NTP: '192.168.65.254',
  DOMAINNAME: 'corp.example',
  DOMAIN_SEARCH_LIST: 'corp.example example',
  CLASSLESS_ROUTES: '10.9.0.0/16,192.168.65.254 0.0.0.0/0,192.168.65.1',
};
const MAC = '02:00:00:00:00:09';
const NAME = 'laptop.vm.docker.internal';

/** systemd-networkd without systemd: a /run of its own, and a /sys that is read-only, so it waits for no udev. */
class Networkd {
  readonly #run: string;
  readonly #process: ChildProcess;
  #said = '';

  constructor(t: TestContext, namespace: TestNamespace) {
    this.#run = temporaryFolder('dhcp');
    mkdirSync(join(this.#run, 'systemd/network'), { recursive: true });
    mkdirSync(this.#leases, { recursive: true });
    writeFileSync(join(this.#run, 'systemd/network/10-guest.network'), NETWORK);
    const own = [
      'mkdir -p "$0/systemd/netif/links" "$0/systemd/netif/lldp"',
      'chmod 755 "$0" && chown -R systemd-network "$0/systemd/netif"',
      'mount --bind "$0" /run && mount -t sysfs -o ro own /sys && exec "$@"',
    ].join(' && ');
    const argv = [`--net=${namespace.path}`, '--', 'unshare', '-m', 'sh', '-c', own, this.#run, NETWORKD];
    const env = { PATH: process.env.PATH, SYSTEMD_LOG_LEVEL: 'debug', SYSTEMD_LOG_TARGET: 'console' };
    this.#process = spawn('nsenter', argv, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#process.stdout!, this.#process.stderr!]) {
      stream.on('data', (bytes) => {
        this.#said += String(bytes);
      });
    }
    t.after(() => this.stop());
  }

  get #leases(): string {
    return join(this.#run, 'systemd/netif/leases');
  }

  /** The lease as it writes it down: KEY=value. */
  async lease(): Promise<Readonly<Record<string, string>>> {
    for (;;) {
      const [file] = readdirSync(this.#leases).filter((name) => /^\d+$/.test(name));
      const text = file === undefined ? '' : readFileSync(join(this.#leases, file), 'utf8');
      if (/^ADDRESS=/m.test(text)) {
        return Object.fromEntries([...text.matchAll(/^([A-Z0-9_]+)=(.*)$/gm)].map(([, key, value]) => [key, value]));
      }
      assert.equal(this.#process.exitCode ?? this.#process.signalCode, null, this.#said);
      await new Promise<void>((resolve) => {
        const watcher = watch(this.#leases, () => done());
        const done = (): void => {
          watcher.close();
          this.#process.off('close', done);
          resolve();
        };
        this.#process.once('close', done);
        if (readdirSync(this.#leases).some((name) => /^\d+$/.test(name))) done();
      });
    }
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'close');
    this.#process.kill('SIGTERM');
    await ended;
  }
}

test('systemd-networkd gets a lease and sees every option, and its address again after a restart of the daemon', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunStreamGuests(t) || !needs(t, NETWORKD, 'unshare', 'dig', 'udhcpc')) return;
  const config = `${CONFIG}state: ${temporaryFolder('dhcp')}\n`;
  const open = async (): Promise<{ slipway: Slipway; socket: string }> => {
    const socket = join(temporaryFolder('dhcp'), 'net.sock');
    return {
      slipway: await Slipway.start(t, { mtu: 1_400, guest: false, listen: [`qemu+unix://${socket}`], config }),
      socket,
    };
  };
  const before = await open();
  // The address is not the first one that is free, so it is remembered or it is not given.
  const witness = new DhcpClient(t, 'udhcpc', (await plugGuest(t, { socket: before.socket })).namespace);
  await witness.hear(BOUND);
  const guest = await plugGuest(t, { socket: before.socket, mac: MAC });
  const networkd = new Networkd(t, guest.namespace);
  const { T1, T2, CLIENTID, ...lease } = await networkd.lease();
  assert.deepEqual(lease, LEASE);
  assert.deepEqual([T1, T2], ['43200', '75600']);
  // By default its identifier is made of the machine, not of the card (RFC 4361).
  assert.match(CLIENTID ?? '', /^ff/);
  const { stdout } = await execute(t, guest.namespace, 'dig', '@192.168.65.1', '+tries=1', '+short', NAME);
  assert.equal(stdout, '192.168.65.4\n');
  await networkd.stop();
  await before.slipway.stop();

  const after = await open();
  const back = await plugGuest(t, { socket: after.socket, mac: MAC });
  assert.equal((await new Networkd(t, back.namespace).lease()).ADDRESS, '192.168.65.4');
});
