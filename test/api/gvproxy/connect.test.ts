import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, Socket } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { lengthsForGuest, lengthsFromGuest } from '../../../src/api/gvproxy/frame-lengths.ts';
import { streamPair } from '../../../src/host/stream-pair.ts';
import { CompatWorld } from '../compat-world.ts';

const REQUEST = 'POST /connect HTTP/1.1\r\nHost: localhost\r\n\r\n';

function framed(frames: readonly Uint8Array[], lengthBytes: 2 | 4): Buffer {
  return Buffer.concat(
    frames.flatMap((frame) => {
      const length = Buffer.alloc(lengthBytes);
      if (lengthBytes === 2) length.writeUInt16LE(frame.length);
      else length.writeUInt32BE(frame.length);
      return [length, frame];
    }),
  );
}

function sockets(): [Socket, Socket] {
  const [one, other] = streamPair();
  return [
    new Socket({ fd: one, readable: true, writable: true }),
    new Socket({ fd: other, readable: true, writable: true }),
  ];
}

async function read(socket: Socket, bytes: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let have = 0; have < bytes; ) {
    const [piece] = (await once(socket, 'data')) as [Buffer];
    pieces.push(piece);
    have += piece.length;
  }
  return Buffer.concat(pieces);
}

test('connect: nothing is answered, and frames go both ways, those behind the request too', {
  timeout: 20_000,
}, async (t) => {
  const [network, ours] = sockets();
  const world = await CompatWorld.open(t, { attach: async () => ours });
  const guest = connect(world.control.socket);
  t.after(() => guest.destroy());
  t.after(() => network.destroy());
  const up = [Buffer.alloc(60, 1), Buffer.alloc(1514, 2), Buffer.alloc(65_535, 3)];
  guest.write(Buffer.concat([Buffer.from(REQUEST), framed(up, 2)]));
  assert.deepEqual(await read(network, framed(up, 4).length), framed(up, 4));
  const down = [Buffer.alloc(42, 4), Buffer.alloc(9000, 5)];
  network.write(framed(down, 4));
  assert.deepEqual(await read(guest, framed(down, 2).length), framed(down, 2));
  network.end();
  await once(guest, 'close');
});

test('connect: a frame of no length detaches the guest', { timeout: 20_000 }, async (t) => {
  const [network, ours] = sockets();
  const world = await CompatWorld.open(t, { attach: async () => ours });
  const guest = connect(world.control.socket);
  t.after(() => guest.destroy());
  guest.write(`${REQUEST}\0\0`);
  guest.resume();
  network.resume();
  await Promise.all([once(guest, 'close'), once(network, 'close')]);
});

test('connect: a guest that cannot be attached is told why', { timeout: 20_000 }, async (t) => {
  const world = await CompatWorld.open(t, { attach: () => Promise.reject(new Error('too many guests')) });
  const guest = connect(world.control.socket);
  t.after(() => guest.destroy());
  guest.write(REQUEST);
  assert.match(String((await once(guest, 'data'))[0]), /^HTTP\/1\.1 500 [\s\S]*too many guests\n$/);
});

test('property: frames keep their bytes and order, however they are cut on the way', async () => {
  const frame = fc.uint8Array({ minLength: 1, maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(frame, { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 50 })),
      async (frames, cuts) => {
        for (const [reframing, from, to] of [
          [lengthsFromGuest(), 2, 4],
          [lengthsForGuest(), 4, 2],
        ] as const) {
          const out: Buffer[] = [];
          reframing.on('data', (bytes: Buffer) => out.push(bytes));
          let rest = framed(frames, from);
          for (const cut of cuts) {
            reframing.write(rest.subarray(0, cut));
            rest = rest.subarray(cut);
          }
          reframing.end(rest);
          await once(reframing, 'end');
          assert.deepEqual(Buffer.concat(out), framed(frames, to));
        }
      },
    ),
    { numRuns: 100 },
  );
});
