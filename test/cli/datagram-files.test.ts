import assert from 'node:assert/strict';
import { rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { UnixDatagram } from '../support/unix-datagram.ts';
import { SlipwayProcess } from './slipway.ts';

const FRAME = new Uint8Array(60).fill(2);

test('the file of a datagram socket for guests is private, made again, and gone at the end; a dead one’s is replaced', {
  timeout: 120_000,
}, async (t) => {
  const folder = temporaryFolder('test');
  const place = path.join(folder, 'vm.sock');
  new UnixDatagram(place).close();
  const up = new SlipwayProcess(t, 'up', '--listen', `qemu+dgram://${place}`, '--control', 'none');
  await up.prints(/Ctrl-C ends it\n/);
  assert.match(up.stdout, /-netdev dgram,id=net0,local\.type=unix,local\.path=\S+vm\.sock\.qemu,remote\.type=unix/);
  assert.equal(statSync(place).mode & 0o777, 0o600);
  const guest = new UnixDatagram(path.join(folder, 'guest'));
  t.after(() => guest.close());
  assert.equal(guest.send(FRAME, place), '');
  await up.warns(/guest attached/);

  const second = new SlipwayProcess(t, 'up', '--listen', `qemu+dgram://${place}`, '--control', 'none');
  assert.match((await second.end()).stderr, /ERR_LISTEN_IN_USE/);

  rmSync(place);
  await up.warns(/the socket for guests \S+ was removed; Slipway makes it again/);
  assert.equal(statSync(place).mode & 0o777, 0o600);
  assert.equal(guest.send(FRAME, place), '');
  await up.warns(/guest attached[\s\S]*guest attached/);
  up.child.kill('SIGTERM');
  assert.equal((await up.end()).status, 0);
  assert.equal(statSync(place, { throwIfNoEntry: false }), undefined);
});

test('the portable engine says that it cannot take guests on datagram sockets, and what would', {
  timeout: 60_000,
}, async (t) => {
  for (const scheme of ['qemu+dgram', 'vfkit+unixgram']) {
    const place = path.join(temporaryFolder('test'), 'vm.sock');
    const args = ['--listen', `${scheme}://${place}`, '--host-engine', 'node', '--control', 'none'];
    const { status, stderr } = await new SlipwayProcess(t, 'up', ...args).end();
    assert.notEqual(status, 0);
    assert.match(stderr, /ERR_ENGINE_LACKS/);
    assert.ok(stderr.includes(`no guest can attach at ${scheme}://${place}: the portable engine has no unix datagram`));
    assert.match(stderr, /Use --host-engine epoll, on Linux, or attach by qemu\+unix/);
  }
});
