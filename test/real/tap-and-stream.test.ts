import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { GUEST, Slipway } from '../support/slipway.ts';
import { dialled, listen, udp } from '../support/sockets.ts';
import { canRunStreamGuests, plugGuest } from '../support/stream-guest.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { download, MIB, upload } from './transfers.ts';

const NEIGHBOR = '192.168.65.10';

test('a guest on a tap and one on a stream reach each other', { timeout: 60_000 }, async (t) => {
  if (!canRunStreamGuests(t)) return;
  const folder = temporaryFolder('test');
  const socket = join(folder, 'net.sock');
  const { guest } = await Slipway.start(t, { mtu: 1_500, listen: [`qemu+unix://${socket}`] });
  const { namespace } = await plugGuest(t, { socket, address: NEIGHBOR });

  for (const from of ['tap', 'stream'] as const) {
    await t.test(
      `64 MiB by checksum from the ${from}: super-segments and missing checksums end at the switch`,
      async (t) => {
        const { port, accept } = await listen(t, namespace);
        const onTap = await dialled(t, guest, port, NEIGHBOR);
        const onStream = await accept();
        const [sender, reader] = from === 'tap' ? [onTap, onStream] : [onStream, onTap];
        const [sent, received] = await Promise.all([upload(sender, 64 * MIB), download(reader)]);
        assert.equal(received, sent);
      },
    );
  }

  await t.test('UDP from either, also by fragments', async (t) => {
    const [onTap, onStream] = [await udp(t, guest), await udp(t, namespace)];
    for (const [sender, reader, address] of [
      [onTap, onStream, NEIGHBOR],
      [onStream, onTap, GUEST],
    ] as const) {
      for (const size of [1, 1_472, 8_000]) {
        const bytes = randomBytes(size);
        const heard = once(reader, 'message') as Promise<[Buffer]>;
        sender.send(bytes, reader.address().port, address);
        assert.ok((await heard)[0].equals(bytes));
      }
    }
  });
});
