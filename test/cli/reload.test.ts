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
      attach: async ({ text }) => {
        if (text === this.refused) throw new SlipwayError('ERR_LISTEN_IN_USE', 'another process listens there');
        this.attached.push(text);
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

test('what a reload could not make, the next one tries again', async () => {
  const world = new ReloadWorld(listen(A));
  world.refused = B;
  await world.again(listen(A, B));
  world.refused = '';
  assert.deepEqual(await world.again(listen(A, B)), [`the configuration was read again: +${B}`]);
});

test('a place for guests that is dropped and comes back is still there, and not opened twice', async () => {
  const world = new ReloadWorld(listen(A, B));
  assert.match((await world.again(listen(A))).join(), /listen: changed, and in force only after a restart/);
  assert.deepEqual(await world.again(listen(A, B)), ['the configuration was read again: nothing to change']);
  assert.deepEqual(world.attached, []);
});
