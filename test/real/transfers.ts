import assert from 'node:assert/strict';
import { createHash, randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { TestNamespace } from '../support/namespace.ts';
import { HOST } from '../support/slipway.ts';
import { connected } from '../support/sockets.ts';

export const MIB: number = 2 ** 20;
const CHUNK = randomFillSync(Buffer.allocUnsafe(MIB));

/** Writes `bytes` and ends; the checksum of what it wrote. No two MiB are alike, so bytes out of place change it. */
export async function upload(socket: Socket, bytes: number): Promise<string> {
  const hash = createHash('sha256');
  for (let sent = 0; sent < bytes; sent += CHUNK.length) {
    const chunk = Buffer.from(CHUNK.subarray(0, Math.min(CHUNK.length, bytes - sent)));
    chunk.writeDoubleBE(sent);
    hash.update(chunk);
    if (!socket.write(chunk)) await once(socket, 'drain');
  }
  socket.end();
  return hash.digest('hex');
}

/** The checksum of all that comes. */
export async function download(socket: Socket): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of socket) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Moves `bytes` between the guest and a server of the host, and compares the checksums. */
export async function transfer(t: TestContext, guest: TestNamespace, way: 'down' | 'up', bytes: number): Promise<void> {
  const { guestSide, hostSide } = await connected(t, guest, HOST);
  const [from, to] = way === 'down' ? [hostSide, guestSide] : [guestSide, hostSide];
  const [sent, received] = await Promise.all([upload(from, bytes), download(to)]);
  assert.equal(received, sent);
}
