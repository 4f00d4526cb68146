import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import type { ForwardStatus } from '../../../src/config/forward.ts';
import { needs } from '../../support/needs.ts';
import { canRunGuests, Slipway } from '../../support/slipway.ts';
import { start } from '../../support/sockets.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { socketSpec } from './table-world.ts';

/** Where sshd wants to be able to lock itself in, however it is configured. */
const PRIVILEGE_SEPARATION = '/run/sshd';

interface Keys {
  readonly folder: string;
  readonly key: string;
}

function keys(): Keys {
  const folder = temporaryFolder('sshd');
  const made = (name: string, ...more: readonly string[]): string => {
    const file = path.join(folder, name);
    execFileSync('ssh-keygen', ['-q', '-N', '', '-f', file, ...more]);
    return file;
  };
  made('host', '-t', 'ed25519');
  return { folder, key: made('user', '-t', 'ed25519') };
}

/** A real sshd in the guest that lets root in with the key; settles when it listens. */
async function sshd(t: TestContext, { guest }: Slipway, { folder, key }: Keys): Promise<void> {
  if (!existsSync(PRIVILEGE_SEPARATION)) {
    mkdirSync(PRIVILEGE_SEPARATION, { mode: 0o755 });
    t.after(() => rmdirSync(PRIVILEGE_SEPARATION));
  }
  const file = path.join(folder, 'sshd_config');
  const lines = [
    'ListenAddress 0.0.0.0:2200',
    `HostKey ${path.join(folder, 'host')}`,
    `AuthorizedKeysFile ${key}.pub`,
    `PidFile ${path.join(folder, 'sshd.pid')}`,
    'PermitRootLogin prohibit-password',
    'PasswordAuthentication no',
    'StrictModes no',
    'UsePAM no',
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const child = start(t, guest, '/usr/sbin/sshd', '-D', '-e', '-f', file);
  let said = '';
  for await (const words of child.stderr!) {
    said += String(words);
    if (said.includes('Server listening')) return;
  }
  assert.fail(`sshd ended: ${said}`);
}

test('a unix socket of a guest is one of the host, through a real sshd, also after the death of a network thread', async (t) => {
  if (!canRunGuests(t) || !needs(t, 'sshd', 'ssh-keygen')) return;
  const slipway = await Slipway.start(t);
  const made = keys();
  await sshd(t, slipway, made);
  // A path is the same one in the guest's namespace of networks: the sshd connects to it there.
  const inGuest = path.join(made.folder, 'guest.sock');
  const server = createServer({ allowHalfOpen: true }, (client) => {
    void text(client).then((question) => client.end(`you asked ${question}`));
  });
  server.listen(inGuest);
  await once(server, 'listening');
  t.after(() => server.close());
  const onHost = path.join(made.folder, 'host.sock');
  const guest = {
    kind: 'ssh',
    address: undefined,
    port: 2200,
    user: 'root',
    path: inGuest,
    keyFile: made.key,
  } as const;
  const spec = socketSpec(onHost, { guest });
  const status = await slipway.ask<ForwardStatus>({ ask: 'add', spec });
  assert.equal(status.state, 'waiting', 'nobody has asked the sshd yet');
  const ask = async (question: string): Promise<string> => {
    const client = connect({ path: onHost, allowHalfOpen: true });
    t.after(() => client.destroy());
    client.end(question);
    return text(client);
  };
  assert.equal(await ask('once'), 'you asked once');
  assert.deepEqual(await Promise.all([ask('a'), ask('b')]), ['you asked a', 'you asked b']);
  const death = slipway.said.length;
  slipway.fault('throw');
  await slipway.hear(({ message }) => String(message).startsWith('network thread died'), death);
  assert.equal(await ask('after the network thread died'), 'you asked after the network thread died');
  await slipway.ask({ ask: 'remove', id: status.id, connections: true });
  assert.equal(existsSync(onHost), false);
});
