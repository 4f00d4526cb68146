import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { needs } from '../support/needs.ts';
import { GATEWAY, HOST, Slipway } from '../support/slipway.ts';
import { finished, start } from '../support/sockets.ts';
import { canRunStreamGuests, plugGuest } from '../support/stream-guest.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const FLOODING_GUESTS = fileURLToPath(new URL('../support/flooding-guests.py', import.meta.url));
const GUESTS = 16;
const FLOOD_SECONDS = 4;
const PINGS = 50;
/** What is said of a thread that ended or was ended. */
const DEAD = /network thread/;

for (const pinger of ['stream', 'tap'] as const) {
  test(`while ${GUESTS} guests flood, each ping of another guest on a ${pinger} is answered, and the network thread is never taken for dead`, {
    timeout: 120_000,
  }, async (t) => {
    if (!canRunStreamGuests(t) || !needs(t, 'ping')) return;
    const socket = join(temporaryFolder('test'), 'net.sock');
    const slipway = await Slipway.start(t, {
      mtu: 1_500,
      guest: pinger === 'tap',
      listen: [`qemu+unix://${socket}`],
    });
    const guest =
      pinger === 'tap' ? slipway.guest : (await plugGuest(t, { socket, address: '192.168.65.10' })).namespace;

    const flood = start(
      t,
      undefined,
      'python3',
      FLOODING_GUESTS,
      socket,
      `${GUESTS}`,
      `${FLOOD_SECONDS}`,
      GATEWAY,
      HOST,
    );
    const flooded = finished(flood);
    await once(flood.stdout!, 'data');
    // A machine that is busy elsewhere delays an answer, which is not losing it: -W bounds only the last one's wait.
    const ping = await finished(start(t, guest, 'ping', '-n', '-c', `${PINGS}`, '-i', '0.05', '-W', '20', GATEWAY));
    const { stderr, status } = await flooded;
    assert.equal(status, 0, stderr);

    assert.match(ping.stdout, new RegExp(`${PINGS} packets transmitted, ${PINGS} received`), ping.stdout);
    const times = [...ping.stdout.matchAll(/time=([\d.]+) ms/g)].map(([, ms]) => Number(ms)).sort((a, b) => a - b);
    const at = (share: number): string =>
      times[Math.min(times.length - 1, Math.floor(times.length * share))]!.toFixed(1);
    const { 'guest-frames-received': frames } = (await slipway.status()).counters;
    t.diagnostic(`ping p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms, beside ${frames} frames`);
    assert.doesNotMatch(slipway.log.join('\n'), DEAD);
  });
}
