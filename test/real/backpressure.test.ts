import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { canRunGuests, HOST, Slipway } from '../support/slipway.ts';
import { connected, endingOf } from '../support/sockets.ts';
import { download, MIB, upload } from './transfers.ts';

const SIZE = 96 * MIB;
/** Both kernels' largest send and receive buffers and what Slipway keeps in between, with room to spare. */
const MOST_ON_THE_WAY = 48 * MIB;
const MEMORY_SLACK = 48 * MIB;

/**
 * Resolves when the sender is stopped: it has written, waits for room, and five status questions later nothing moved.
 */
async function stopped(slipway: Slipway, sender: Socket): Promise<number> {
  for (;;) {
    const before = sender.bytesWritten - sender.writableLength;
    for (let i = 0; i < 5; i++) {
      await slipway.status();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const now = sender.bytesWritten - sender.writableLength;
    if (now === before && now > 0 && sender.writableNeedDrain) return now;
  }
}

for (const slow of ['guest', 'server'] as const) {
  test(`a ${slow} that reads slowly holds the other side back and loses nothing`, { timeout: 60_000 }, async (t) => {
    if (!canRunGuests(t)) return;
    const slipway = await Slipway.start(t, { heapMiB: 64 });
    const { guestSide, hostSide } = await connected(t, slipway.guest, HOST, { pauseOnConnect: true });
    const [sender, reader] = slow === 'guest' ? [hostSide, guestSide] : [guestSide, hostSide];
    sender.setNoDelay(true);
    const { resident } = slipway;
    const sent = upload(sender, SIZE);
    const taken = await stopped(slipway, sender);
    assert.ok(taken < MOST_ON_THE_WAY, `${(taken / MIB).toFixed(1)} MiB left a sender that nobody reads from`);
    const growth = slipway.resident - resident;
    assert.ok(growth < MEMORY_SLACK, `${(growth / MIB).toFixed(1)} MiB more memory`);
    assert.equal(await download(reader), await sent);
  });
}

test('a guest that reads nothing holds back no other flow', { timeout: 60_000 }, async (t) => {
  if (!canRunGuests(t)) return;
  const slipway = await Slipway.start(t);
  const lazy = await connected(t, slipway.guest, HOST);
  lazy.guestSide.pause();
  void upload(lazy.hostSide, SIZE).catch(() => {});
  await stopped(slipway, lazy.hostSide);
  const keen = await connected(t, slipway.guest, HOST);
  const [sent, received] = await Promise.all([upload(keen.hostSide, SIZE), download(keen.guestSide)]);
  assert.equal(received, sent);
  const reset = endingOf(lazy.hostSide);
  lazy.guestSide.resetAndDestroy();
  assert.equal(await reset, 'ECONNRESET');
});
