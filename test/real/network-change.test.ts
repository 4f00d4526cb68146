import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { setTimeout as passes } from 'node:timers/promises';
import { expose } from '../support/published.ts';
import { canRunGuests, Slipway } from '../support/slipway.ts';
import { dialled, drained, endingOf, listen, udp } from '../support/sockets.ts';
import { createTwoUplinks, type TwoUplinks } from '../support/two-uplinks.ts';

const BEHIND_FIRST = '10.1.0.2';
const BEHIND_SECOND = '10.2.0.2';

interface World extends TwoUplinks {
  readonly slipway: Slipway;
}

async function world(t: TestContext): Promise<World | undefined> {
  if (!canRunGuests(t)) return undefined;
  const network = createTwoUplinks(t);
  return { ...network, slipway: await Slipway.start(t, { namespace: network.home }) };
}

for (const [change, ...command] of [
  ['address is removed', 'address', 'del', '10.1.0.1/24', 'dev', 'up1'],
  ['link is taken down', 'link', 'set', 'up1', 'down'],
] as const) {
  test(`a download and an upload end with an error when the host’s ${change} and stays so; what goes another way carries on`, async (t) => {
    const made = await world(t);
    if (made === undefined) return;
    const { slipway, away, ip } = made;
    const server = await listen(t, away);
    const download = await dialled(t, slipway.guest, server.port, BEHIND_FIRST);
    const source = await server.accept();
    const upload = await dialled(t, slipway.guest, server.port, BEHIND_FIRST);
    const sink = await server.accept();
    const other = await dialled(t, slipway.guest, server.port, BEHIND_SECOND);
    const otherEnd = await server.accept();

    // Both are in full course, and neither would ever end by itself.
    const chunk = Buffer.alloc(65536, 7);
    source.on('drain', () => source.write(chunk));
    source.write(chunk);
    upload.on('drain', () => upload.write(chunk));
    upload.write(chunk);
    await Promise.all([once(download, 'data'), once(sink, 'data')]);
    sink.resume();

    const endings = Promise.all([drained(download).then(({ ending }) => ending), endingOf(upload)]);
    ip(...command);
    assert.deepEqual(await endings, ['ECONNRESET', 'ECONNRESET']);
    assert.equal(await slipway.counter('host-address-lost'), 2);

    other.write('still here');
    assert.equal(String((await once(otherEnd, 'data'))[0]), 'still here');
    // The same server, by the uplink that is left.
    const fresh = await dialled(t, slipway.guest, server.port, BEHIND_FIRST);
    fresh.end('new flow');
    assert.equal(String((await drained(await server.accept())).bytes), 'new flow');
  });
}

for (const [change, away, back] of [
  [
    'address is removed and comes back',
    ['address', 'del', '10.1.0.1/24', 'dev', 'up1'],
    ['address', 'add', '10.1.0.1/24', 'dev', 'up1'],
  ],
  ['link is taken down and up', ['link', 'set', 'up1', 'down'], ['link', 'set', 'up1', 'up']],
] as const) {
  for (const awayMs of [0, 1500]) {
    test(`a download, an upload and an idle connection survive that the host’s ${change}, ${awayMs} ms later`, async (t) => {
      const made = await world(t);
      if (made === undefined) return;
      const { slipway, away: outside, ip } = made;
      const server = await listen(t, outside);
      const download = await dialled(t, slipway.guest, server.port, BEHIND_FIRST);
      const source = await server.accept();
      const upload = await dialled(t, slipway.guest, server.port, BEHIND_FIRST);
      const sink = await server.accept();
      const idle = await dialled(t, slipway.guest, server.port, BEHIND_FIRST);
      const idleEnd = await server.accept();
      const begun = [once(download, 'data'), once(sink, 'data')];
      const whole = Promise.all([drained(download), drained(sink)]);
      source.write(Buffer.alloc(65536, 7));
      upload.write(Buffer.alloc(65536, 7));
      await Promise.all(begun);

      ip(...away);
      // Sent while there is no way.
      source.end(Buffer.alloc(262_144, 7));
      upload.end(Buffer.alloc(262_144, 7));
      await passes(awayMs);
      ip(...back);
      const bytes = 65_536 + 262_144;
      const ends = (await whole).map(({ ending, bytes: { length } }) => ({ ending, length }));
      assert.deepEqual(ends, Array(2).fill({ ending: 'end', length: bytes }));
      idle.write('still here');
      assert.equal(String((await once(idleEnd, 'data'))[0]), 'still here');
      assert.equal(await slipway.counter('host-address-lost'), 0);
    });
  }
}

test('a published port at an address of the host survives that it is away for a while: listener, connection and UDP', async (t) => {
  const made = await world(t);
  if (made === undefined) return;
  const { slipway, away: outside, ip } = made;
  const inside = await listen(t, slipway.guest);
  const echo = await udp(t, slipway.guest);
  echo.on('message', (bytes, from) => echo.send(bytes, from.port, from.address));
  await expose(slipway, `10.1.0.1:7001:${inside.port}`);
  await expose(slipway, `10.1.0.1:7002:${echo.address().port}/udp`);
  const client = await dialled(t, outside, 7001, '10.1.0.1');
  const guestEnd = await inside.accept();
  const asker = await udp(t, outside);
  const asks = async (): Promise<string> => {
    const answer = once(asker, 'message') as Promise<[Buffer]>;
    asker.send('hello', 7002, '10.1.0.1');
    return String((await answer)[0]);
  };
  assert.equal(await asks(), 'hello');

  ip('address', 'del', '10.1.0.1/24', 'dev', 'up1');
  await passes(1500);
  ip('address', 'add', '10.1.0.1/24', 'dev', 'up1');

  client.write('still here');
  assert.equal(String((await once(guestEnd, 'data'))[0]), 'still here');
  assert.equal(await asks(), 'hello');
  const next = await dialled(t, outside, 7001, '10.1.0.1');
  next.end('new');
  assert.equal(String((await drained(await inside.accept())).bytes), 'new');
});
