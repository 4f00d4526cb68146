import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import ssh2 from 'ssh2';
import { SlipwayError } from '../../../src/facts/errors.ts';
import { readKey, type SshEnd } from '../../../src/services/forward/ssh-client.ts';
import { SshForward } from '../../../src/services/forward/ssh-forward.ts';
import { type Deferred, deferred } from '../../support/deferred.ts';
import { needs } from '../../support/needs.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { refusal } from './table-world.ts';

const SOCKET = '/run/podman/podman.sock';
const NOT_ASKED = 'its sshd is dialled when the first client comes';

/** ssh2 makes one in some hundred pairs that it cannot read itself. */
function keyPair(
  lock?: Parameters<typeof ssh2.utils.generateKeyPairSync>[1],
): ReturnType<typeof ssh2.utils.generateKeyPairSync> {
  for (;;) {
    const pair =
      lock === undefined ? ssh2.utils.generateKeyPairSync('ed25519') : ssh2.utils.generateKeyPairSync('ed25519', lock);
    const passphrase = (lock as { passphrase?: string } | undefined)?.passphrase;
    const read = [ssh2.utils.parseKey(pair.public), ssh2.utils.parseKey(pair.private, passphrase)];
    if (!read.some((key) => key instanceof Error)) return pair;
  }
}

/** An sshd of one user and one key that knows one socket, by ssh2's other half. */
class Sshd {
  readonly server: Server;
  readonly key = keyPair();
  hostKey = keyPair().private;
  /** Connections that were made. */
  logins = 0;
  readonly connections = new Set<Socket>();
  /** What a channel does; echoes unless told. */
  serve = (channel: ssh2.ServerChannel): void => void channel.pipe(channel);

  static async start(t: TestContext): Promise<Sshd> {
    const sshd = new Sshd();
    sshd.server.listen(0, '127.0.0.1');
    await once(sshd.server, 'listening');
    t.after(() => sshd.stop());
    return sshd;
  }

  private constructor() {
    this.server = createServer((socket) => {
      this.connections.add(socket);
      socket.on('close', () => this.connections.delete(socket));
      const ssh = new ssh2.Server({ hostKeys: [this.hostKey] }, (client) => this.#welcome(client));
      ssh.injectSocket(socket);
    });
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  drop(): void {
    for (const socket of this.connections) socket.destroy();
  }

  stop(): void {
    this.drop();
    this.server.close();
  }

  #welcome(client: ssh2.Connection): void {
    const known = ssh2.utils.parseKey(this.key.public);
    if (known instanceof Error) throw known;
    client.on('error', () => {});
    client.on('authentication', (asked) => {
      const { username, method } = asked;
      if (username !== 'core' || method !== 'publickey' || !asked.key.data.equals(known.getPublicSSH())) asked.reject();
      else asked.accept();
    });
    client.on('ready', () => {
      this.logins++;
    });
    client.on('openssh.streamlocal', (accept, reject, { socketPath }) => {
      if (socketPath === SOCKET) this.serve(accept());
      else reject();
    });
  }
}

interface World {
  readonly sshd: Sshd;
  readonly forward: SshForward;
  readonly end: SshEnd;
  /** What was told of the guest, the newest last. */
  readonly told: string[];
  dials(): number;
  client(): Socket;
  /** What comes back from the guest's socket; '' when it is closed at once. */
  ask(words: string): Promise<string>;
}

async function world(t: TestContext, change: Partial<SshEnd> & { readonly keyText?: string } = {}): Promise<World> {
  const folder = temporaryFolder('ssh');
  const sshd = await Sshd.start(t);
  const { keyText = sshd.key.private, ...rest } = change;
  const keyFile = path.join(folder, 'key');
  writeFileSync(keyFile, keyText, { mode: 0o600 });
  const end: SshEnd = { kind: 'ssh', address: undefined, port: 22, user: 'core', path: SOCKET, keyFile, ...rest };
  const file = path.join(folder, 'api.sock');
  const told: string[] = [];
  let dials = 0;
  const { port } = sshd;
  const dial = async (): Promise<Socket> => {
    dials++;
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect').catch(() => {
      throw new SlipwayError('ERR_GUEST_REFUSED', 'the guest refuses connections');
    });
    return socket;
  };
  const sockets = { kind: 'addresses', addresses: [{ address: '', port: 0, index: 0, path: file }] } as const;
  const forward = await SshForward.listen(end, sockets, dial, (state, why) => told.push(`${state} ${why}`));
  t.after(() => forward.close(true));
  const client = (): Socket => {
    const socket = connect({ path: file, allowHalfOpen: true });
    socket.on('error', () => {});
    t.after(() => socket.destroy());
    return socket;
  };
  const ask = (words: string): Promise<string> => {
    const socket = client();
    socket.end(words);
    // What the client wrote is unread when it is turned away: a reset.
    return text(socket).catch(() => '');
  };
  return { sshd, forward, end, told, client, ask, dials: () => dials };
}

test('clients reach the guest’s socket through one connection, made with the first of them', async (t) => {
  const { sshd, ask, told } = await world(t);
  assert.equal(sshd.connections.size, 0);
  assert.equal(await ask('hello'), 'hello');
  assert.deepEqual(await Promise.all([ask('one'), ask('two'), ask('three')]), ['one', 'two', 'three']);
  assert.equal(sshd.logins, 1);
  const [before, ...after] = told;
  assert.equal(before, `down ${NOT_ASKED}`, 'nobody knows yet whether a guest is there');
  assert.ok(after.length === 4 && after.every((one) => one === 'up '));
});

test('half-close passes both ways', async (t) => {
  const { sshd, client } = await world(t);
  const heard: Deferred<string> = deferred();
  sshd.serve = (channel) => {
    channel.write('greeting');
    void text(channel).then((words) => {
      heard.resolve(words);
      channel.end(' and goodbye');
    });
  };
  const one = client();
  one.write('a question');
  one.end();
  assert.equal(await heard.promise, 'a question');
  assert.equal(await text(one), 'greeting and goodbye');
  const other = client();
  sshd.serve = (channel) => {
    channel.end('first');
    void text(channel).then(heard.resolve);
  };
  const [words] = await Promise.all([text(other), once(other, 'end')]);
  assert.equal(words, 'first');
});

test('megabytes pass unharmed', async (t) => {
  const { client } = await world(t);
  const sent = Buffer.alloc(8 * 1024 * 1024, 'slipway ');
  const socket = client();
  socket.end(sent);
  assert.ok(sent.equals(await buffer(socket)));
});

test('a connection that breaks is made anew for the next client', async (t) => {
  const { sshd, client, ask, told } = await world(t);
  const socket = client();
  socket.write('x');
  await once(socket, 'data');
  sshd.drop();
  await once(socket.resume(), 'end');
  assert.equal(told.at(-1), 'down the connection to its sshd ended; the next client opens another');
  assert.equal(await ask('again'), 'again');
  assert.equal(sshd.logins, 2);
});

test('a socket that nobody serves in the guest is told, and the connection stays', async (t) => {
  const { sshd, ask, told } = await world(t, { path: '/run/other.sock' });
  assert.equal(await ask('x'), '');
  assert.match(told[1]!, /^down the sshd of the first guest:22 cannot connect to \/run\/other.sock/);
  assert.equal(await ask('x'), '');
  assert.equal(sshd.logins, 1);
});

test('a key that the guest does not know is told without another try', async (t) => {
  const strange = keyPair().private;
  const { ask, told, end } = await world(t, { keyText: strange });
  assert.equal(await ask('x'), '');
  assert.deepEqual(told.slice(1), [
    `down the sshd of the first guest:22 does not let core in with the key ${end.keyFile}`,
  ]);
});

test('a key that is none, or whose passphrase is wrong, is told', async (t) => {
  const none = await world(t, { keyText: 'no key' });
  await none.ask('x');
  assert.match(none.told[1]!, /^down the private key .*key cannot be used: /);
  const lock = { passphrase: 'right', cipher: 'aes256-cbc', rounds: 2 };
  const { private: keyText } = keyPair(lock);
  const locked = await world(t, { keyText });
  await locked.ask('x');
  assert.match(locked.told[1]!, /no passphrase given/);
});

test('a key that is not there is an error at once', async () => {
  const sockets = { kind: 'addresses', addresses: [] } as const;
  const end: SshEnd = { kind: 'ssh', address: undefined, port: 22, user: 'u', path: '/x', keyFile: '/no/such/key' };
  const dial = (): Promise<Socket> => Promise.reject(new Error('nobody is dialled'));
  const error = await refusal(
    'ERR_SSH_KEY',
    SshForward.listen(end, sockets, dial, () => {}),
  );
  assert.match(error.message, /ENOENT/);
});

test('a key file that is no key is not read to its end, and a pipe is not waited for', async (t) => {
  if (!needs(t, 'mkfifo')) return;
  const folder = temporaryFolder('ssh');
  const [pipe, large] = [path.join(folder, 'pipe'), path.join(folder, 'large')];
  execFileSync('mkfifo', [pipe]);
  writeFileSync(large, 'k'.repeat(65_537));
  const said = async (keyFile: string): Promise<string> => {
    const end: SshEnd = { kind: 'ssh', address: undefined, port: 22, user: 'u', path: '/x', keyFile };
    return (await refusal('ERR_SSH_KEY', readKey(end))).message;
  };
  for (const keyFile of [pipe, '/dev/zero', folder]) assert.match(await said(keyFile), /it is not a regular file$/);
  assert.match(await said(large), /it has more than 65536 bytes$/);
});

test('an sshd that shows another host key than before gets nothing', async (t) => {
  const { sshd, ask, told } = await world(t);
  assert.equal(await ask('one'), 'one');
  const { hostKey } = sshd;
  sshd.hostKey = keyPair().private;
  sshd.drop();
  assert.equal(await ask('two'), '');
  assert.match(
    told.at(-1)!,
    /^down the sshd of the first guest:22 shows a different host key than at the first connection$/,
  );
  assert.equal(sshd.logins, 1);
  sshd.hostKey = hostKey;
  assert.equal(await ask('three'), 'three');
});

test('a guest that is away is tried three times', async (t) => {
  const { sshd, ask, told, dials } = await world(t);
  sshd.server.close();
  assert.equal(await ask('x'), '');
  assert.deepEqual(told.slice(1), ['down the guest refuses connections']);
  assert.equal(dials(), 3);
});

test('closing takes no more clients; those that are there end when they like, or at once', async (t) => {
  for (const connections of [false, true]) {
    const { sshd, forward, client } = await world(t);
    const socket = client();
    socket.write('a');
    await once(socket, 'data');
    assert.equal(forward.connections, 1);
    forward.close(connections);
    await once(client(), 'error');
    if (!connections) {
      socket.end('b');
      assert.equal(await text(socket), 'b');
    } else await once(socket.resume(), 'end');
    const [left] = sshd.connections;
    if (left !== undefined) await once(left, 'close');
  }
});
