import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { UnixDatagram } from '../support/unix-datagram.ts';
import { Daemon } from './qemu-daemon.ts';

/*
 * vfkit and krunkit do not run here. What they send is replayed: a socket bound to a path of its own and connected to
 * ours, "VFKT" as its first datagram (vfkit to 0.6, krunkit), then one frame a datagram.
 */

const MAC = [0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xee];
const BROADCAST = Array<number>(6).fill(0xff);
const ANSWER_LIMIT_MS = 30_000;

/** Who has 192.168.65.1? As a Linux guest asks, padded to the least length of Ethernet. */
const QUESTION = Uint8Array.from([
  ...[...BROADCAST, ...MAC, 0x08, 0x06],
  ...[0, 1, 8, 0, 6, 4, 0, 1, ...MAC, 192, 168, 65, 77, 0, 0, 0, 0, 0, 0, 192, 168, 65, 1],
  ...Array<number>(18).fill(0),
]);

/** Asks until the gateway answers: the answer's opcode and the address that it speaks of. */
async function answered(vfkit: UnixDatagram): Promise<void> {
  const deadline = performance.now() + ANSWER_LIMIT_MS;
  while (performance.now() < deadline) {
    vfkit.send(QUESTION);
    for (let frame = vfkit.receive(); frame !== undefined; frame = vfkit.receive()) {
      const isReply = frame[12] === 8 && frame[13] === 6 && frame[21] === 2;
      if (isReply && frame.subarray(28, 32).join('.') === '192.168.65.1') return;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.fail('the gateway does not answer');
}

/** As vfkit starts: bound, connected, greeted. The kernel may still know the one before: it is tried again. */
async function started(t: TestContext, folder: string, name: string, greeting: string): Promise<UnixDatagram> {
  const vfkit = new UnixDatagram(join(folder, name));
  t.after(() => vfkit.close());
  const deadline = performance.now() + ANSWER_LIMIT_MS;
  while (vfkit.connect(join(folder, 'vm.sock')) !== '') {
    assert.ok(performance.now() < deadline, 'the place is never free');
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (greeting !== '') assert.equal(vfkit.send(Buffer.from(greeting)), '');
  return vfkit;
}

test('the replayed datagrams of vfkit attach a guest, with and without its greeting, and the next after it was killed', {
  timeout: 120_000,
}, async (t) => {
  const folder = temporaryFolder('test');
  const daemon = await Daemon.up(`vfkit+unixgram://${join(folder, 'vm.sock')}`);
  t.after(() => daemon.stop());
  await daemon.says(/vfkit and krunkit: --device virtio-net,unixSocketPath=\S+vm\.sock/);

  const old = await started(t, folder, 'vfkit-1', 'VFKT');
  await answered(old);
  // In the middle it is no frame, and no harm.
  old.send(Buffer.from('VFKT'));
  await answered(old);

  const second = new UnixDatagram(join(folder, 'vfkit-2'));
  t.after(() => second.close());
  assert.equal(second.connect(join(folder, 'vm.sock')), 'EPERM', 'while the first lives, there is no place');
  await answered(old);

  old.close();
  await daemon.says(/guest detached/);
  await answered(await started(t, folder, 'vfkit-3', ''));
});
