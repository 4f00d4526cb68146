import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import type { NetworkInterfaceInfo } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type HostInterfaces, isDefaultRoute } from '../../../../src/services/dns/upstream/host-addresses.ts';
import { parseResolvConf } from '../../../../src/services/dns/upstream/resolv-conf.ts';
import { SystemConfigWatch } from '../../../../src/services/dns/upstream/system-config.ts';
import { needs } from '../../../support/needs.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { addressesIn, answerTo, FakeNameserver } from './fake-nameserver.ts';
import { ManualTimers } from './manual-timers.ts';
import { query, UpstreamWorld } from './upstream-world.ts';

/** Long before any file here is written, so that all have settled; a test that is about it says otherwise. */
const LONG_AFTER = 4e12;

class ConfigWorld {
  readonly timers = new ManualTimers();
  readonly folder: string;
  readonly resolvConf: string;
  readonly hosts: string;
  readonly nsswitch: string;
  interfaces: HostInterfaces = {};
  route = false;
  wallMs = LONG_AFTER;

  constructor() {
    this.folder = temporaryFolder('config');
    this.resolvConf = join(this.folder, 'resolv.conf');
    this.hosts = join(this.folder, 'hosts');
    this.nsswitch = join(this.folder, 'nsswitch.conf');
    for (const file of [this.hosts, this.nsswitch]) writeFileSync(file, '');
    writeFileSync(this.resolvConf, 'nameserver 10.0.0.1\n');
  }

  watch(): SystemConfigWatch {
    const { resolvConf, hosts, nsswitch, timers } = this;
    return new SystemConfigWatch({
      resolvConf,
      hosts,
      nsswitch,
      clock: timers,
      wallMs: () => this.wallMs,
      interfaces: () => this.interfaces,
      ipv6Route: () => this.route,
    });
  }
}

function address(text: string, internal = false): NetworkInterfaceInfo {
  const family = text.includes(':') ? 'IPv6' : 'IPv4';
  return { address: text, family, internal, netmask: '', mac: '', cidr: null, scopeid: 0 } as NetworkInterfaceInfo;
}

function addressesOf(watch: SystemConfigWatch): string[] {
  return watch.nameservers().map((nameserver) => nameserver.address);
}

test('a resolv.conf that is a folder, a pipe, or endless names what its beginning names, at once', (t) => {
  if (!needs(t, 'mkfifo')) return;
  const world = new ConfigWorld();
  const found = (make: () => void): string[] => {
    rmSync(world.resolvConf, { recursive: true });
    make();
    return addressesOf(world.watch());
  };
  assert.deepEqual(
    found(() => mkdirSync(world.resolvConf)),
    [],
  );
  assert.deepEqual(
    found(() => execFileSync('mkfifo', [world.resolvConf])),
    ['127.0.0.1'],
  );
  assert.deepEqual(
    found(() => symlinkSync('/dev/zero', world.resolvConf)),
    ['127.0.0.1'],
  );
  const long = `${'nameserver 10.0.0.7\n'.padEnd(65_525, '#')}\nnameserver 10.0.0.8\n`;
  assert.deepEqual(
    found(() => {
      writeFileSync(world.resolvConf, long);
      truncateSync(world.resolvConf, 2 ** 33);
    }),
    ['10.0.0.7'],
  );
});

test('the first three nameservers of resolv.conf, IPv6 with its zone too, and the last search list', () => {
  const { nameservers, search } = parseResolvConf(
    [
      '# made by hand',
      '; by another hand',
      'domain old.example.',
      'search corp.example. lan',
      'options ndots:5 edns0',
      ' nameserver 10.9.9.9',
      'nameserver 10.0.0.1 # the router',
      'nameserver\tfe80::1%eth0',
      'nameserver nonsense',
      'nameserver 10.0.0.5%eth0',
      'nameserver',
      'nameserver 2001:db8::53\r',
      'nameserver 10.0.0.3',
    ].join('\n'),
  );
  assert.deepEqual(
    nameservers.map((nameserver) => `${nameserver.address} ${nameserver.port}`),
    ['10.0.0.1 53', 'fe80::1%eth0 53', '2001:db8::53 53'],
  );
  assert.deepEqual(search, ['corp.example', 'lan']);
  assert.deepEqual(parseResolvConf(''), { nameservers: [], search: [] });
});

test('a resolv.conf that names no server means the one of this computer, unless it may be half written', () => {
  const world = new ConfigWorld();
  const stamp = new Date('2026-01-01T00:00:00Z');
  writeFileSync(world.resolvConf, 'search corp.example\n');
  utimesSync(world.resolvConf, stamp, stamp);
  world.wallMs = stamp.getTime() + 10;
  const watch = world.watch();
  assert.deepEqual(watch.nameservers(), []);
  // By the time at which a lookup looks again it is believed.
  world.wallMs += 100;
  world.timers.advance(100);
  assert.deepEqual(watch.nameservers(), [{ address: '127.0.0.1', port: 53 }]);
  assert.deepEqual(watch.search(), ['corp.example']);
  rmSync(world.resolvConf);
  world.timers.advance(20);
  assert.deepEqual(watch.nameservers(), []);
});

test('a change of any of the three files is seen at the next question, 20 ms after the last look', () => {
  const world = new ConfigWorld();
  const watch = world.watch();
  assert.equal(watch.generation, 0);
  writeFileSync(world.resolvConf, 'nameserver 10.0.0.22\n');
  world.timers.advance(19);
  assert.deepEqual(addressesOf(watch), ['10.0.0.1']);
  world.timers.advance(1);
  assert.deepEqual(addressesOf(watch), ['10.0.0.22']);
  assert.equal(watch.generation, 1);
  for (const [file, generation] of [
    [world.hosts, 2],
    [world.nsswitch, 3],
  ] as const) {
    writeFileSync(file, 'something else\n');
    world.timers.advance(20);
    assert.equal(watch.generation, generation);
  }
  world.timers.advance(1000);
  assert.equal(watch.generation, 3);
});

test('a file that is replaced by rename, a link that is turned, a file that goes and comes', () => {
  const world = new ConfigWorld();
  const other = join(world.folder, 'other');
  writeFileSync(other, 'nameserver 10.0.0.2\n');
  const watch = world.watch();
  renameSync(other, world.resolvConf);
  world.timers.advance(20);
  assert.deepEqual(addressesOf(watch), ['10.0.0.2']);

  writeFileSync(other, 'nameserver 10.0.0.3\n');
  const link = join(world.folder, 'link');
  symlinkSync(other, link);
  renameSync(link, world.resolvConf);
  world.timers.advance(20);
  assert.deepEqual(addressesOf(watch), ['10.0.0.3']);

  rmSync(world.resolvConf);
  world.timers.advance(20);
  assert.deepEqual(addressesOf(watch), []);
  writeFileSync(world.resolvConf, 'nameserver 10.0.0.4\n');
  world.timers.advance(20);
  assert.deepEqual(addressesOf(watch), ['10.0.0.4']);
  assert.equal(watch.generation, 4);
});

test('a file that was written just now is read again when it has settled: its time stamp may hide a second change', () => {
  const world = new ConfigWorld();
  const stamp = new Date('2026-01-01T00:00:00Z');
  utimesSync(world.resolvConf, stamp, stamp);
  world.wallMs = stamp.getTime() + 10;
  const watch = world.watch();
  world.timers.advance(20);
  assert.equal(watch.generation, 0);
  world.wallMs = stamp.getTime() + 200;
  world.timers.advance(20);
  assert.equal(watch.generation, 1);
  world.timers.advance(20);
  assert.equal(watch.generation, 1);
});

test('a new address of the computer is a change, one of a container bridge link is none; the netlink listener is believed', () => {
  const world = new ConfigWorld();
  world.interfaces = { lo: [address('127.0.0.1', true)], eth0: [address('192.168.1.5')] };
  const watch = world.watch();
  world.interfaces = { ...world.interfaces, veth1: [address('fe80::42')] };
  world.timers.advance(2000);
  assert.equal(watch.generation, 0);
  world.interfaces = { ...world.interfaces, tun0: [address('10.8.0.2')] };
  world.timers.advance(1999);
  assert.equal(watch.generation, 0);
  world.timers.advance(1);
  assert.equal(watch.generation, 1);
  watch.addressesChanged();
  assert.equal(watch.generation, 2);
});

test('IPv6 is there with a global address, or with a unique local one and a default route', () => {
  const world = new ConfigWorld();
  const watch = world.watch();
  const can = (...addresses: string[]): boolean => {
    world.interfaces = { eth0: addresses.map((text) => address(text)), lo: [address('::1', true)] };
    watch.addressesChanged();
    return watch.hasIpv6();
  };
  assert.equal(can('192.168.1.5', 'fe80::1'), false);
  assert.equal(can('2001:db8::1'), true);
  assert.equal(can('fd00::1'), false);
  world.route = true;
  assert.equal(can('fd00::1'), true);
  assert.equal(can('fe80::1'), false);
});

test('the default route in the kernel’s table', () => {
  const zero = '0'.repeat(32);
  const line = (prefix: string, flags: string, device: string): string =>
    `${zero} ${prefix} ${zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 ${flags} ${device}`;
  assert.equal(isDefaultRoute(line('00', '00000003', 'eth0')), true);
  assert.equal(isDefaultRoute(line('00', '00200200', 'lo')), false);
  assert.equal(isDefaultRoute(line('40', '00000001', 'eth0')), false);
  assert.equal(isDefaultRoute(''), false);
});

test('a resolv.conf that is switched under questions loses none of them, and the next one goes to the new server', async () => {
  await using before = await FakeNameserver.open();
  await using after = await FakeNameserver.open();
  const files = new ConfigWorld();
  const watch = files.watch();
  using world = new UpstreamWorld();
  // resolv.conf knows no ports.
  const ports: Record<string, number> = { '10.0.0.1': before.nameserver.port, '10.0.0.2': after.nameserver.port };
  const system = {
    get generation() {
      return watch.generation;
    },
    nameservers: () => watch.nameservers().map((n) => ({ address: '127.0.0.1', port: ports[n.address] ?? 0 })),
  };
  Object.defineProperties(world.system, Object.getOwnPropertyDescriptors(system));
  const early = world.ask(query('early.test'));
  const lost = world.ask(query('lost.test'));
  const answered = await before.next();
  await before.next();
  writeFileSync(join(files.folder, 'new'), 'nameserver 10.0.0.2\n');
  renameSync(join(files.folder, 'new'), files.resolvConf);
  files.timers.advance(20);
  answered.reply(answerTo(answered, { addresses: [1] }));
  const earlyResult = await early;
  const next = world.ask(query('next.test'));
  const heard = await after.next();
  heard.reply(answerTo(heard, { addresses: [3] }));
  world.timers.advance(800);
  const moved = await after.next();
  moved.reply(answerTo(moved, { addresses: [2] }));
  const results = (await Promise.all([earlyResult, lost, next])).map((r) =>
    typeof r === 'string' ? r : addressesIn(r),
  );
  assert.deepEqual(results, [[1], [2], [3]]);
});
