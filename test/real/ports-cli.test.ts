import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Daemon, serve } from '../support/dns-host.ts';
import { createNamespace, type TestNamespace } from '../support/namespace.ts';
import { needs } from '../support/needs.ts';
import { nginx } from '../support/published.ts';
import { dialled, execute, type Finished } from '../support/sockets.ts';
import { canRunStreamGuests, plugGuest, type StreamGuest } from '../support/stream-guest.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const GUEST = '192.168.65.3';

/** `slipway up` as a person starts it, in a network of its own. */
class Host {
  readonly home: TestNamespace;
  readonly #t: TestContext;
  readonly #folder: string;

  constructor(t: TestContext) {
    this.home = createNamespace(t, 'home');
    this.#t = t;
    this.#folder = temporaryFolder('ports');
  }

  get control(): string {
    return join(this.#folder, 'control.sock');
  }

  up(...flags: readonly string[]): Promise<Daemon> {
    const network = `qemu+unix://${this.#folder}/net.sock`;
    const places = ['--listen', network, '--control', this.control, '--state', join(this.#folder, 'state')];
    const program = [process.execPath, MAIN, 'up', ...places, ...flags];
    return serve(this.#t, /Ctrl-C ends it/, 'nsenter', `--net=${this.home.path}`, '--', ...program);
  }

  plug(): Promise<StreamGuest> {
    return plugGuest(this.#t, { socket: join(this.#folder, 'net.sock'), address: GUEST });
  }

  /** `slipway ports …` */
  ports(...words: readonly string[]): Promise<Finished> {
    return execute(this.#t, this.home, process.execPath, MAIN, 'ports', ...words, '--control', this.control);
  }

  async fetch(t: TestContext, ...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await execute(t, this.home, 'curl', '-sS', '--max-time', '20', ...args);
    assert.equal(status, 0, stderr);
    return stdout;
  }

  /** Waits until the list of ports has a line like `wanted`. */
  async lists(wanted: RegExp): Promise<string> {
    for (let tries = 0; tries < 60; tries++) {
      const { stdout } = await this.ports('ls');
      if (wanted.test(stdout)) return stdout;
    }
    return assert.fail(`never: ${wanted}: ${(await this.ports('ls')).stdout}`);
  }
}

test('slipway up -p, slipway ports and the APIs of gvproxy publish a guest’s nginx', { timeout: 60_000 }, async (t) => {
  if (!canRunStreamGuests(t) || !needs(t, 'nginx', 'curl')) return;
  const host = new Host(t);
  const first = await host.up('-p', '8080:80', '-p', '127.0.0.1:5353:53/udp');
  await assert.rejects(dialled(t, host.home, 8080, '127.0.0.1'), { code: 'ECONNREFUSED' });
  let { namespace: guest, unplug } = await host.plug();
  await nginx(t, guest);

  await t.test('by up -p, once the guest is there', async (t) => {
    // Nobody can know of a static address that has not said a word.
    await execute(t, guest, 'ping', '-n', '-c', '1', '-W', '1', '192.168.65.1');
    await host.lists(/^tcp +\*:8080 .*listening/m);
    for (const address of ['127.0.0.1', '[::1]']) {
      assert.equal(await host.fetch(t, `http://${address}:8080/`), 'hello');
    }
  });

  await t.test('by ports expose, which names who holds a port', async (t) => {
    const { status, stdout } = await host.ports('expose', '--persistent', '127.0.0.1:8081:80');
    assert.deepEqual([status, stdout.includes('127.0.0.1:8081')], [0, true], stdout);
    assert.equal(await host.fetch(t, 'http://127.0.0.1:8081/'), 'hello');
    const held = await host.ports('expose', '8081:81');
    assert.equal(held.status, 1);
    assert.match(held.stderr, /ERR_FORWARD_EXISTS/);
  });

  await t.test('by gvproxy’s API on the same socket', async (t) => {
    const api = ['--unix-socket', host.control];
    const body = JSON.stringify({ local: ':9090', remote: `${GUEST}:80` });
    await host.fetch(t, '--fail', ...api, '-d', body, 'http://gvproxy/services/forwarder/expose');
    assert.equal(await host.fetch(t, 'http://127.0.0.1:9090/'), 'hello');
    assert.match(await host.fetch(t, ...api, 'http://gvproxy/services/forwarder/all'), /"local":":9090"/);
    await host.fetch(t, '--fail', ...api, '-d', '{"local":":9090"}', 'http://gvproxy/services/forwarder/unexpose');
    await assert.rejects(dialled(t, host.home, 9090, '127.0.0.1'), { code: 'ECONNREFUSED' });
  });

  await t.test('by the guest itself, as Podman does', async (t) => {
    const ask = (what: string, body: object): Promise<Finished> =>
      execute(
        t,
        guest,
        'curl',
        '-sS',
        '--fail',
        '-d',
        JSON.stringify(body),
        `http://192.168.65.1/services/forwarder/${what}`,
      );
    const { status, stderr } = await ask('expose', { local: ':9091', remote: `${GUEST}:80` });
    assert.equal(status, 0, stderr);
    assert.equal(await host.fetch(t, 'http://127.0.0.1:9091/'), 'hello');
    assert.notEqual((await ask('unexpose', { local: ':8080' })).status, 0, 'what is not its own stays');
    assert.equal((await ask('unexpose', { local: ':9091' })).status, 0);
    assert.equal(await host.fetch(t, 'http://127.0.0.1:8080/'), 'hello');
  });

  await t.test('and after the daemon was killed by the next one, what is persistent', async (t) => {
    await first.stop();
    await unplug();
    await host.up();
    ({ namespace: guest, unplug } = await host.plug());
    await nginx(t, guest);
    await execute(t, guest, 'ping', '-n', '-c', '1', '-W', '1', '192.168.65.1');
    const listed = await host.lists(/^tcp +127\.0\.0\.1:8081 .*listening/m);
    assert.doesNotMatch(listed, /8080|9090|9091/);
    assert.equal(await host.fetch(t, 'http://127.0.0.1:8081/'), 'hello');
    assert.equal((await host.ports('unexpose', '127.0.0.1:8081')).status, 0);
    assert.equal((await host.ports('ls')).stdout, 'no port is published\n');
  });
});
