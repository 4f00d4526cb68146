import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { resolveConfig } from '../../src/config/config.ts';
import { startNetwork } from '../../src/control/start-network.ts';

const TIMEOUT = { timeout: 180_000 };
const ENGINES = process.platform === 'linux' ? (['epoll', 'node'] as const) : (['node'] as const);
/** Who has 192.168.65.1? Tell 192.168.65.3 (02:00:00:00:00:03). */
const WHO_HAS_GATEWAY = Buffer.from(
  'ffffffffffff0200000000030806' + '0001080006040001' + '020000000003c0a84103' + '000000000000c0a84101',
  'hex',
);

for (const engine of ENGINES) {
  test(
    `a guest whose connection is there already is attached, and may go and come again (${engine})`,
    TIMEOUT,
    async (t) => {
      const quiet = { info: () => {}, warn: () => {}, error: () => {} };
      const network = await startNetwork(resolveConfig({ engine, helper: 'none' }), quiet, assert.fail);
      t.after(() => network.stop());
      for (const name of ['first', 'second']) {
        const guest = await network.control.guests.attach(name);
        const length = Buffer.alloc(4);
        length.writeUInt32BE(WHO_HAS_GATEWAY.length);
        guest.write(Buffer.concat([length, WHO_HAS_GATEWAY]));
        const [answer] = (await once(guest, 'data')) as [Buffer];
        assert.equal(answer.readUInt32BE(0), answer.length - 4);
        assert.equal(answer.toString('hex', 4 + 28, 4 + 32), 'c0a84101', 'the gateway says where it is');
        assert.deepEqual(
          (await network.status()).guests.map((one) => one.name),
          [name],
        );
        guest.destroy();
        while ((await network.status()).guests.length > 0);
      }
    },
  );
}

for (const engine of ENGINES) {
  test(`what a network thread died over before it took it leaves no socket open (${engine})`, TIMEOUT, async (t) => {
    if (process.platform !== 'linux') return t.skip('reads /proc/self/fd');
    const quiet = { info: () => {}, warn: () => {}, error: () => {} };
    const network = await startNetwork(resolveConfig({ engine, helper: 'none' }), quiet, assert.fail);
    t.after(() => network.stop());
    // Loads what the first call loads; its sockets are gone when the next request is answered.
    await assert.rejects(network.control.guests.dial(0, 80));
    await network.status();
    // Closed at the end of its turn: that was before this answer.
    await network.status();
    const before = unixSockets();
    network.control.fault('spin');
    const asked = await Promise.allSettled([
      network.control.guests.dial(0, 80),
      network.control.guests.dial(0, 80),
      network.control.guests.attach('late'),
    ]);
    assert.deepEqual(
      asked.map(({ status }) => status),
      ['rejected', 'rejected', 'rejected'],
    );
    await network.status();
    // Ours are closed by Node's loop, in its own time: each answer of the thread lets it go round.
    while ([...unixSockets()].some((inode) => !before.has(inode))) await network.status();
  });
}

/** Unix sockets of this process, by inode. */
function unixSockets(): Set<string> {
  const ofHost = readFileSync('/proc/net/unix', 'latin1').split('\n');
  const inodes = new Set(ofHost.map((line) => line.split(/\s+/)[6] ?? ''));
  return new Set(
    readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
        return inode !== undefined && inodes.has(inode) ? [inode] : [];
      } catch {
        return [];
      }
    }),
  );
}
