import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { confinementFaults } from '../../src/helper/confinement.ts';
import { SERVICE_FILE, SOCKET_FILE } from '../../src/helper/units.ts';
import { FRIEND, STRANGER } from '../helper/harness.ts';
import { BootedSystemd, canBootSystemd, stillRunning } from '../support/booted-systemd.ts';
import { type Output, serve } from '../support/dns-host.ts';
import { needs } from '../support/needs.ts';
import { httpServer } from '../support/published.ts';

const SOCKET = '/run/slipway-helper.sock';

/** Somebody without any right at that computer, with a folder that is closed to others. */
class User {
  readonly #machine: BootedSystemd;
  readonly #folder: string;
  readonly #command: readonly string[];

  static async of(machine: BootedSystemd, uid: number): Promise<User> {
    const user = new User(machine, uid);
    await machine.succeed(...user.#command, 'mkdir', '--mode=700', user.#folder);
    return user;
  }

  private constructor(machine: BootedSystemd, uid: number) {
    const none = ['--clear-groups', '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs'];
    this.#machine = machine;
    this.#folder = `/tmp/${uid}`;
    this.#command = ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, ...none];
  }

  /** Publishes by a `slipway up` that stays until the test ends. */
  async up(t: TestContext, published: string): Promise<void> {
    await serve(t, /Ctrl-C ends it/, ...this.#machine.enter, ...this.#command, ...this.#up(published));
  }

  /** The same, where it cannot. */
  failsToCome(published: string): Promise<Output> {
    return this.#machine.run(...this.#command, ...this.#up(published));
  }

  /** `slipway ports …` */
  ports(...words: readonly string[]): Promise<string> {
    return this.#machine.succeed(...this.#command, ...this.#machine.slipway, 'ports', ...words, ...this.#control);
  }

  #up(published: string): readonly string[] {
    const places = ['--listen', `qemu+unix://${this.#folder}/net.sock`, '--state', this.#folder, ...this.#control];
    return [...this.#machine.slipway, 'up', ...places, '-p', published];
  }

  get #control(): readonly string[] {
    return ['--control', `${this.#folder}/control.sock`];
  }
}

test('the helper as it is installed, under a systemd that has booted', { timeout: 60_000 }, async (t) => {
  if (!canBootSystemd(t) || !needs(t, 'setpriv')) return;
  const machine = await BootedSystemd.start(t);
  const friend = await User.of(machine, FRIEND);
  const stranger = await User.of(machine, STRANGER);

  await t.test('install has systemd listen, and starts no helper yet', async () => {
    const said = await machine.succeed(...machine.slipway, 'helper', 'install', '--yes', '--allow-uid', `${FRIEND}`);
    assert.match(said, new RegExp(`\nthe helper listens at ${SOCKET}\n$`));
    assert.equal(await machine.property(SOCKET_FILE, 'SubState'), 'listening');
    assert.equal(await machine.property(SOCKET_FILE, 'UnitFileState'), 'enabled');
    assert.equal(await machine.property(SERVICE_FILE, 'ActiveState'), 'inactive');
  });

  await t.test('a user on its list publishes port 80, and the journal has it', async () => {
    // Beyond this part, until the machine ends.
    await friend.up(t, '80:80');
    assert.match(await friend.ports('ls'), /^tcp +\*:80 .*waiting: no guest is there$/m);
    await assert.rejects(httpServer(t, machine.namespace, 80, 'another'), { code: 'EADDRINUSE' });
    const asked = `slipway-helper: uid ${FRIEND} gid ${FRIEND} pid \\d+`;
    await machine.logs(SERVICE_FILE, new RegExp(`^${asked}: tcp 0\\.0\\.0\\.0:80 bound$`, 'm'));
  });

  await t.test('it has the one capability, is not root, and no more threads than it may have', async () => {
    const status = await machine.status(SERVICE_FILE);
    assert.deepEqual(confinementFaults(status), []);
    const sets = [...status.matchAll(/^Cap...:\t(.*)$/gm)].map(([, set]) => set);
    assert.deepEqual(
      sets,
      Array.from({ length: 5 }, () => '0000000000000400'),
    );
    assert.doesNotMatch(status, /^[UG]id:.*\t0\b/m);
    assert.match(status, /^Seccomp:\t2$/m);
    // Where the pids controller is systemd's, one too many would have ended it; elsewhere nobody counts but this.
    const threads = Number(/^Threads:\t(\d+)$/m.exec(status)?.[1]);
    const most = Number(await machine.property(SERVICE_FILE, 'TasksMax'));
    assert.ok(threads <= most, `${threads} of ${most}`);
  });

  await t.test('a user who is not on it is told so, and the journal has it', async () => {
    const { status, stderr } = await stranger.failsToCome('81:81');
    assert.equal(status, 1);
    assert.match(
      stderr,
      new RegExp(`:81: bind: permission denied: the helper at ${SOCKET} does not serve user ${STRANGER}\n`),
    );
    assert.match(stderr, /ERR_HELPER_DENIED/);
    const asked = `slipway-helper: uid ${STRANGER} gid ${STRANGER} pid \\d+`;
    await machine.logs(
      SERVICE_FILE,
      new RegExp(`^${asked}: tcp 0\\.0\\.0\\.0:81 refused: not on the allow list$`, 'm'),
    );
  });

  await t.test('stopped, it is started by the next request, and what it gave stays', async () => {
    const before = await machine.property(SERVICE_FILE, 'MainPID');
    await machine.succeed('systemctl', 'stop', SERVICE_FILE);
    assert.equal(await machine.property(SERVICE_FILE, 'Result'), 'success');
    assert.equal(await machine.property(SERVICE_FILE, 'ActiveState'), 'inactive');
    assert.match(await friend.ports('expose', '82:82'), /:82\b/);
    assert.equal(await machine.property(SERVICE_FILE, 'ActiveState'), 'active');
    assert.notEqual(await machine.property(SERVICE_FILE, 'MainPID'), before);
    assert.match(await friend.ports('ls'), /^tcp +\*:80 .*waiting.*\n(?:.*\n)*tcp +\*:82 .*waiting/m);
  });

  await t.test('uninstall leaves neither units nor socket', async () => {
    await machine.succeed(...machine.slipway, 'helper', 'uninstall', '--yes');
    const search = ['/etc/systemd/system', '/run', '-xdev', '-maxdepth', '2', '-name', 'slipway-helper*'];
    assert.equal(await machine.succeed('find', ...search), '');
    assert.equal(await machine.property(SOCKET_FILE, 'LoadState'), 'not-found');
  });

  await t.test('and of all that nothing is left', async () => {
    const { processes, cgroups } = machine;
    assert.ok(processes.length > 2, 'the holder, systemd and the journal at least');
    assert.equal(machine.isMountedHere, false);
    await machine.stop();
    assert.deepEqual(stillRunning(processes), []);
    assert.deepEqual(cgroups.filter(existsSync), []);
  });
});

/** Boots, says what there is, and ends by no way of its own. */
const BOOT_AND_STAY = `
const { BootedSystemd } = await import(process.argv[1]);
const { processes, cgroups } = await BootedSystemd.start({ after() {} });
console.log(JSON.stringify({ processes, cgroups }));
`;

test('nothing is left of such a systemd when the test is killed', { timeout: 60_000 }, async (t) => {
  if (!canBootSystemd(t)) return;
  const support = new URL('../support/booted-systemd.ts', import.meta.url);
  const argv = ['--input-type=module', '--eval', BOOT_AND_STAY, support.href];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const said = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    once(child, 'close').then(() => []),
  ]);
  assert.ok(typeof said[0] === 'string', 'it has booted');
  const { processes, cgroups } = JSON.parse(said[0]) as Pick<BootedSystemd, 'processes' | 'cgroups'>;
  assert.deepEqual(stillRunning(processes), processes);
  child.kill('SIGKILL');
  const deadline = performance.now() + 20_000;
  while (stillRunning(processes).length > 0 || cgroups.some(existsSync)) {
    assert.ok(performance.now() < deadline, `left: ${stillRunning(processes)} ${cgroups}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
});
