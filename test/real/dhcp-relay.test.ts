import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { BOUND, DhcpClient } from '../support/dhcp-clients.ts';
import { createNamespace, nsExec } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { Slipway } from '../support/slipway.ts';
import { canRunStreamGuests, plugGuest, TAP } from '../support/stream-guest.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

test('a client behind a relay of its guest gets a lease, the relay its agent information back', {
  timeout: 60_000,
}, async (t) => {
  if (!canRunStreamGuests(t) || !needs(t, 'dhcrelay', 'udhcpc', 'unshare')) return;
  const socket = join(temporaryFolder('dhcp'), 'net.sock');
  const slipway = await Slipway.start(t, { mtu: 1_500, guest: false, listen: [`qemu+unix://${socket}`] });
  const relay = await plugGuest(t, { socket, address: '192.168.65.9' });
  const behind = createNamespace(t, 'behind');
  nsExec(relay.namespace, 'ip', 'link', 'add', 'inside', 'type', 'veth', 'peer', 'name', TAP, 'netns', behind.name);
  // The relay's address towards its clients tells the server which subnet they are in (giaddr).
  nsExec(relay.namespace, 'ip', 'address', 'add', '192.168.65.10/32', 'dev', 'inside');
  nsExec(relay.namespace, 'ip', 'link', 'set', 'inside', 'up');
  nsExec(behind, 'ip', 'link', 'set', TAP, 'up');
  const enter = [`--net=${relay.namespace.path}`, '--'];
  const program = [
    'dhcrelay',
    '-4',
    '-d',
    // Appends its information, and drops an answer that does not bring it back (RFC 3046).
    '-a',
    '-D',
    '-iu',
    TAP,
    '-id',
    'inside',
    '-pf',
    join(temporaryFolder('dhcp'), 'pid'),
    '192.168.65.1',
  ];
  const agent = spawn('nsenter', [...enter, ...program], { stdio: ['ignore', 'ignore', 'pipe'] });
  t.after(async () => {
    const ended = once(agent, 'close');
    agent.kill('SIGKILL');
    await ended;
  });
  // What it prints last before it serves.
  await new Promise<void>((resolve, reject) => {
    let said = '';
    agent.once('close', () => reject(new Error(said)));
    agent.stderr.on('data', (text) => {
      said += String(text);
      if (said.includes('Sending on   Socket/fallback')) resolve();
    });
  });
  const client = new DhcpClient(t, 'udhcpc', behind, { hostName: 'far' });
  assert.equal(client.fact(await client.hear(BOUND), 'address'), '192.168.65.3');
  const { leases } = await slipway.status();
  assert.deepEqual(
    leases.map(({ name }) => name),
    ['far'],
  );
});
