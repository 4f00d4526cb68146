import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reload } from '../../src/cli/reload.ts';
import { type Config, type ConfigInput, resolveConfig } from '../../src/config/config.ts';
import { SlipwayError } from '../../src/facts/errors.ts';
import { parseListenUrl } from '../../src/config/listen.ts';
import { ZoneStore } from '../../src/services/dns/zones/zone-store.ts';
import { TableWorld } from '../services/forward/table-world.ts';

const listen = (...urls: string[]): ConfigInput => ({ listen: urls.map((url) => parseListenUrl(url)) }) as ConfigInput;

class ReloadWorld {
  readonly lines: string[] = [];
  readonly attached: string[] = [];
  level = 'info';
  readonly engines: string[] = [];
  refused = '';
  next: Config | Error;
  readonly reload: Reload;

  constructor(first: ConfigInput) {
    const config = resolveConfig(first);
    this.next = config;
    const note = (message: string): void => void this.lines.push(message);
    this.reload = new Reload({
      config,
      read: async () => {
        if (this.next instanceof Error) throw this.next;
        return this.next;
      },
      network: { forwards: new TableWorld().table, dns: { zones: new ZoneStore({ defaultTtlSeconds: 1 }) } as never },
      docker: async () => ({
        add: async ({ engine }) => {
          if (engine === this.refused) throw new SlipwayError('ERR_LISTEN_IN_USE', 'another process listens there');
          this.engines.push(engine);
        },
        remove: async ({ engine }) => void this.engines.splice(this.engines.indexOf(engine), 1),
      }),
      attach: async ({ text }) => {
        if (text === this.refused) throw new SlipwayError('ERR_LISTEN_IN_USE', 'another process listens there');
        this.attached.push(text);
      },
      detach: async ({ text }) => {
        if (text === this.refused) throw new SlipwayError('ERR_NETWORK_THREAD', 'the network is not running');
        this.attached.splice(this.attached.indexOf(text), 1);
      },
      setLogLevel: (level) => {
        this.level = level;
      },
      log: { info: note, warn: note, error: note },
    });
  }

  async again(next: ConfigInput | Error): Promise<readonly string[]> {
    this.next = next instanceof Error ? next : resolveConfig(next);
    this.lines.length = 0;
    await this.reload.again();
    return this.lines;
  }
}

const [A, B] = ['qemu+unix:///run/a.sock', 'qemu+unix:///run/b.sock'] as const;

test('a broken configuration is one line, and the old one goes on', async () => {
  const world = new ReloadWorld(listen(A));
  assert.deepEqual(await world.again(new Error('slipway.yaml:2: a\n  b: no colon\n    ^')), [
    'the configuration stays as it was: slipway.yaml:2: a; b: no colon; ^',
  ]);
  assert.deepEqual(await world.again(listen(A)), ['the configuration was read again: nothing to change']);
});

test('engines come and go, and one whose settings change is made anew', async () => {
  const [one, two] = [
    { socket: '/run/one.sock', engine: '/run/a.sock' },
    { socket: '/run/two.sock', engine: '/run/b.sock' },
  ];
  const world = new ReloadWorld({});
  world.refused = two.engine;
  assert.deepEqual(await world.again({ docker: [one, two] }), [
    'the engine /run/b.sock is left out: another process listens there',
    'the configuration was read again: engine +/run/a.sock',
  ]);
  world.refused = '';
  assert.deepEqual(await world.again({ docker: [{ ...one, bind: 'local' }, two] }), [
    'the configuration was read again: engine −/run/a.sock, engine +/run/a.sock, engine +/run/b.sock',
  ]);
  await world.again({});
  assert.deepEqual(world.engines, []);
});

test('what a reload could not make, the next one tries again', async () => {
  const world = new ReloadWorld(listen(A));
  world.refused = B;
  await world.again(listen(A, B));
  world.refused = '';
  assert.deepEqual(await world.again(listen(A, B)), [`the configuration was read again: +${B}`]);
});

test('a place for guests that is dropped is closed, and opened anew when it comes back', async () => {
  const world = new ReloadWorld(listen(A));
  await world.again(listen(A, B));
  assert.deepEqual(await world.again(listen(A)), [`the configuration was read again: −${B}`]);
  assert.deepEqual(world.attached, []);
  assert.deepEqual(await world.again(listen(A, B)), [`the configuration was read again: +${B}`]);
  assert.deepEqual(world.attached, [B]);
});

test('a place for guests that could not be closed is tried again by the next reload', async () => {
  const world = new ReloadWorld(listen(A));
  await world.again(listen(A, B));
  world.refused = B;
  assert.deepEqual(await world.again(listen(A)), [
    `${B} stays: the network is not running`,
    'the configuration was read again: nothing to change',
  ]);
  world.refused = '';
  assert.deepEqual(await world.again(listen(A)), [`the configuration was read again: −${B}`]);
});

test('the level of the log changes at once', async () => {
  const world = new ReloadWorld({ log: { level: 'warn' } });
  assert.deepEqual(await world.again({ log: { level: 'debug' } }), [
    'the configuration was read again: log level debug',
  ]);
  assert.equal(world.level, 'debug');
});
