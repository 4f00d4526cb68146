import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { endianness } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { localAddresses } from '../../src/guest/interface-address.ts';
import { portHolder } from '../../src/guest/port-holder.ts';
import { defaultGateway, type Ipv4Route, ipv4Routes } from '../../src/host/proc/ipv4-routes.ts';
import { formatIpv4Address, parseIpv4Address } from '../../src/wire/ipv4-address.ts';
import { createNamespace, nsExec } from '../support/namespace.ts';
import { needs, needsRoot } from '../support/needs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

function file(text: string): string {
  const folder = temporaryFolder('test');
  const name = path.join(folder, 'table');
  writeFileSync(name, text);
  return name;
}

const ROUTES = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
wlan0	00000000	0102A8C0	0003	0	0	600	00000000	0	0	0
eth0	00000000	0141A8C0	0003	0	0	100	00000000	0	0	0
eth1	00000000	0241A8C0	0002	0	0	1	00000000	0	0	0
ppp0	00000000	00000000	0001	0	0	0	00000000	0	0	0
docker0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0
`;

test('the default gateway is that of the usable default route with the smallest metric', (t) => {
  if (endianness() === 'BE') return t.skip('the table is of a little-endian machine');
  const routes = ipv4Routes(file(ROUTES));
  assert.deepEqual(
    routes.map(({ device }) => device),
    ['wlan0', 'eth0', 'ppp0', 'docker0'],
  );
  assert.equal(defaultGateway(routes), '192.168.65.1');
  const bridge = routes[3] as Ipv4Route;
  assert.deepEqual([bridge.destination, bridge.mask].map(formatIpv4Address), ['172.17.0.0', '255.255.0.0']);
  assert.equal(defaultGateway(routes.slice(2)), undefined);
});

test('a table that is missing, empty or nonsense has nothing in it', () => {
  assert.deepEqual(ipv4Routes('/nonexistent'), []);
  assert.deepEqual(ipv4Routes(file('')), []);
  assert.deepEqual(ipv4Routes(file('Iface\n\nx\neth0 zz zz zz\n')), []);
  assert.deepEqual(localAddresses('/nonexistent'), []);
  assert.deepEqual(localAddresses(file('|-- x\n /32 host LOCAL\n|-- 10.0.0.1\n')), []);
});

test('the addresses of the machine are those of its local table, each once', () => {
  const leaf = (address: string, kind: string): string => `           |-- ${address}\n              ${kind}\n`;
  const table = [
    leaf('127.0.0.0', '/8 host LOCAL'),
    leaf('127.0.0.1', '/32 host LOCAL'),
    leaf('172.17.0.0', '/16 link UNICAST'),
    leaf('172.17.0.1', '/32 host LOCAL'),
    leaf('172.17.255.255', '/32 link BROADCAST'),
  ].join('');
  const found = localAddresses(file(`Main:\n${table}Local:\n${table}`));
  assert.deepEqual(found, ['127.0.0.1', '172.17.0.1'].map(parseIpv4Address));
});

test('the kernel’s tables know the address of a bridge that is up and not running, of which Node does not tell', (t) => {
  if (!needs(t, 'ip', 'nsenter') || !needsRoot(t)) return;
  const guest = createNamespace(t, 'bridge');
  const source = new URL('../../src/guest/interface-address.ts', import.meta.url).href;
  const look = (): unknown =>
    JSON.parse(
      execFileSync('nsenter', [
        ...[`--net=${guest.path}`, '--', process.execPath, '--input-type=module', '-e'],
        `import { networkInterfaces } from 'node:os';
         import { interfaceAddress } from '${source}';
         console.log(JSON.stringify({ node: 'docker0' in networkInterfaces(), ours: interfaceAddress('docker0') ?? '' }));`,
      ]).toString(),
    );
  assert.deepEqual(look(), { node: false, ours: '' });
  nsExec(guest, 'ip', 'link', 'add', 'docker0', 'type', 'bridge');
  nsExec(guest, 'ip', 'address', 'add', '172.17.0.1/16', 'dev', 'docker0');
  nsExec(guest, 'ip', 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1');
  nsExec(guest, 'ip', 'link', 'set', 'veth0', 'master', 'docker0');
  nsExec(guest, 'ip', 'link', 'set', 'docker0', 'up');
  assert.deepEqual(look(), { node: false, ours: '172.17.0.1' });
  nsExec(guest, 'ip', 'link', 'set', 'docker0', 'down');
  assert.deepEqual(look(), { node: false, ours: '' });
});

test('the holder of a port is named by its program and process, for UDP and for TCP that listens', async (t) => {
  const datagrams = createSocket('udp4');
  const server = createServer();
  t.after(() => {
    datagrams.close();
    server.close();
  });
  datagrams.bind(0, '127.0.0.1');
  await once(datagrams, 'listening');
  server.listen(0, '::1');
  await once(server, 'listening');
  assert.equal(portHolder('udp', datagrams.address().port), `node (process ${process.pid})`);
  assert.equal(portHolder('tcp', (server.address() as AddressInfo).port), `node (process ${process.pid})`);
  assert.equal(portHolder('udp', 0), undefined);
});
