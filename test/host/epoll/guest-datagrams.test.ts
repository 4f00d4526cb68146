import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { FAILED, type HostPipe, WOULD_BLOCK } from '../../../src/env/host.ts';
import { openListeningSocket } from '../../../src/host/epoll/attachment-listener.ts';
import type { GuestDatagrams } from '../../../src/host/epoll/guest-datagrams.ts';
import * as libc from '../../../src/host/epoll/libc.ts';
import { needs } from '../../support/needs.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { UnixDatagram } from '../../support/unix-datagram.ts';
import { createEpollHarness, type EpollHarness } from './harness.ts';

const FRAME = new Uint8Array(60).fill(7);
const READ_BYTES = 70_000;
/** The look whether the guest is still there comes each second, and is over by then. */
const LOOK_MS = 1100;

interface World {
  readonly harness: EpollHarness;
  readonly folder: string;
  readonly path: string;
  readonly place: GuestDatagrams;
  /** In the order of their coming. */
  readonly pipes: HostPipe[];
  readonly told: { readable: number; writable: number };
  /** A program that may attach. */
  peer(name: string): UnixDatagram;
  /** What the newest pipe reads until there is no more. */
  readAll(): Uint8Array[];
  serve(fd: number): GuestDatagrams;
}

function open(harness: EpollHarness, path: string): number {
  const fd = openListeningSocket(harness.memory, { kind: 'unix', path }, libc.SOCK_DGRAM);
  assert.ok(typeof fd === 'number', String(fd));
  return fd;
}

function start(t: TestContext): World {
  const harness = createEpollHarness();
  const folder = temporaryFolder('test');
  const path = join(folder, 'vm.sock');
  const pipes: HostPipe[] = [];
  const told = { readable: 0, writable: 0 };
  const at = harness.arena.allocate(READ_BYTES);
  const serve = (fd: number): GuestDatagrams =>
    harness.host.serveGuestDatagrams(fd, (pipe) => {
      pipes.push(pipe);
      return { readable: () => void told.readable++, writable: () => void told.writable++ };
    });
  t.after(() => harness.close());
  return {
    harness,
    folder,
    path,
    pipes,
    told,
    serve,
    place: serve(open(harness, path)),
    peer: (name) => {
      const peer = new UnixDatagram(join(folder, name));
      t.after(() => peer.close());
      return peer;
    },
    readAll: () => {
      const found: Uint8Array[] = [];
      for (;;) {
        const length = pipes.at(-1)?.read(at, READ_BYTES) ?? WOULD_BLOCK;
        if (length < 0) return found;
        found.push(harness.arena.bytes.slice(at, at + length));
      }
    },
  };
}

describe('a datagram socket for guests', () => {
  it('a host without memory for a datagram (ENOBUFS) is tried again, later each time, and loses nothing', (t) => {
    if (!needs(t, 'strace')) return;
    const probe = new URL('./no-buffers-probe.ts', import.meta.url).pathname;
    // The first sendto asks netlink for this computer's addresses, the second is the guest's own.
    const inject = [
      '-f',
      '-qq',
      '-o',
      '/dev/null',
      '-e',
      'trace=sendto',
      '-e',
      'inject=sendto:error=ENOBUFS:when=3..7',
    ];
    const said = execFileSync('strace', [...inject, process.execPath, probe], { encoding: 'utf8', timeout: 60_000 });
    assert.deepEqual(JSON.parse(said), { backoffs: 5, received: ['60 bytes of 9'], error: '' });
  });

  it('is for this user only, takes who speaks first as the guest, and carries datagrams both ways', async (t) => {
    const { harness, path, pipes, peer, readAll } = start(t);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const guest = peer('qemu');
    assert.equal(guest.send(FRAME, path), '');
    await harness.until(() => pipes.length === 1, 'the guest');
    assert.deepEqual(readAll(), [FRAME]);
    const at = harness.arena.allocate(2000);
    harness.arena.bytes.fill(9, at, at + 1514);
    assert.equal(pipes[0]?.write(at, 1514), 1514);
    assert.deepEqual(guest.receive(), new Uint8Array(1514).fill(9));
    assert.equal(guest.send(new Uint8Array(0), path), '');
    assert.deepEqual(readAll(), [new Uint8Array(0)], 'an empty datagram is one, not an end');
  });

  it('10,000 datagrams of a second sender do not get in while the guest lives', async (t) => {
    const { harness, path, pipes, peer, readAll } = start(t);
    const guest = peer('qemu');
    guest.send(FRAME, path);
    await harness.until(() => pipes.length === 1, 'the guest');
    readAll();
    const stranger = peer('stranger');
    for (let i = 0; i < 10_000; i++) assert.equal(stranger.send(new Uint8Array(60).fill(1), path), 'EPERM');
    for (let i = 0; i < 50; i++) assert.equal(guest.send(FRAME, path), '');
    assert.deepEqual(readAll(), Array(50).fill(FRAME));
    assert.equal(pipes.length, 1);
  });

  it('what strangers sent before the guest was known reaches no one', async (t) => {
    const { harness, path, pipes, peer, readAll } = start(t);
    const [guest, stranger] = [peer('qemu'), peer('stranger')];
    guest.send(FRAME, path);
    for (let i = 0; i < 5; i++) stranger.send(new Uint8Array(60).fill(1), path);
    guest.send(FRAME, path);
    await harness.until(() => pipes.length === 1, 'the guest');
    assert.deepEqual(readAll(), [FRAME, FRAME]);
    assert.equal(harness.counters.get('datagram-stranger'), 5);
  });

  it('a sender without an address, which nobody can answer, is no guest', async (t) => {
    const { harness, path, pipes, peer } = start(t);
    const nameless = new UnixDatagram();
    t.after(() => nameless.close());
    assert.equal(nameless.send(FRAME, path), '');
    await harness.until(() => harness.counters.get('datagram-sender-unnamed') === 1, 'the count');
    const gone = peer('gone');
    gone.send(FRAME, path);
    gone.close();
    await harness.until(() => harness.counters.get('datagram-sender-unreachable') === 1, 'the count');
    assert.equal(pipes.length, 0);
    peer('qemu').send(FRAME, path);
    await harness.until(() => pipes.length === 1, 'the guest');
  });

  it('a guest that was killed is noticed by a send', async (t) => {
    const { harness, path, pipes, peer, readAll } = start(t);
    const guest = peer('qemu');
    guest.send(FRAME, path);
    await harness.until(() => pipes.length === 1, 'the guest');
    readAll();
    guest.close();
    const at = harness.arena.allocate(100);
    assert.equal(pipes[0]?.write(at, 60), FAILED);
    assert.equal(pipes[0]?.error, 'ECONNREFUSED');
    assert.equal(pipes[0]?.read(at, 60), FAILED);
    pipes[0]?.close();
    peer('next').send(FRAME, path);
    await harness.until(() => pipes.length === 2, 'the next guest');
    assert.deepEqual(readAll(), [FRAME]);
  });

  it('a guest that was killed while nobody spoke to it is noticed within a second, and so is one whose file is gone', async (t) => {
    const { harness, folder, path, pipes, told, peer, readAll } = start(t);
    for (const end of [(guest: UnixDatagram) => guest.close(), () => rmSync(join(folder, 'qemu'))]) {
      const guest = peer('qemu');
      guest.send(FRAME, path);
      const count = pipes.length + 1;
      await harness.until(() => pipes.length === count, 'the guest');
      readAll();
      harness.pass(LOOK_MS);
      assert.equal(pipes.at(-1)?.error, undefined, 'as long as it lives');
      end(guest);
      const before = told.readable;
      harness.pass(LOOK_MS);
      assert.equal(pipes.at(-1)?.error, 'ECONNREFUSED');
      assert.ok(told.readable > before);
      pipes.at(-1)?.close();
      rmSync(join(folder, 'qemu'), { force: true });
    }
  });

  it('one that is started anew at the same address is the same guest', async (t) => {
    const { harness, folder, path, pipes, peer, readAll } = start(t);
    const first = peer('qemu');
    first.send(FRAME, path);
    await harness.until(() => pipes.length === 1, 'the guest');
    readAll();
    first.close();
    rmSync(join(folder, 'qemu'));
    const second = peer('qemu');
    harness.pass(LOOK_MS);
    assert.equal(second.send(FRAME, path), '');
    assert.deepEqual(readAll(), [FRAME]);
    assert.deepEqual([pipes.length, pipes[0]?.error], [1, undefined]);
  });

  it('tells when a guest that was full takes more', async (t) => {
    const { harness, path, pipes, told, peer, readAll } = start(t);
    const guest = peer('qemu');
    guest.send(FRAME, path);
    await harness.until(() => pipes.length === 1, 'the guest');
    readAll();
    const at = harness.arena.allocate(2000);
    let taken = 0;
    while (pipes[0]?.write(at, 1514) === 1514) assert.ok(++taken < 100_000, 'a guest that reads nothing takes all');
    assert.equal(pipes[0]?.error, undefined);
    const before = told.writable;
    for (let i = 0; i < taken; i++) assert.equal(guest.receive()?.length, 1514);
    await harness.until(() => told.writable > before, 'room');
    assert.equal(pipes[0]?.write(at, 1514), 1514);
  });

  it('a network thread that comes after another has the guest at once', async (t) => {
    const { harness, path, pipes, place, peer, serve, readAll } = start(t);
    const guest = peer('qemu');
    guest.send(FRAME, path);
    await harness.until(() => pipes.length === 1, 'the guest');
    readAll();
    // What a crash leaves: the descriptor, connected.
    const fd = libc.fcntl(place.fd, 0, 0);
    serve(fd);
    await harness.until(() => pipes.length === 2, 'the guest again');
    guest.send(FRAME, path);
    assert.deepEqual(readAll(), [FRAME]);
  });

  it('who is attached stays when the socket is made again, until it speaks to the new one', async (t) => {
    const { harness, path, pipes, place, peer, serve, readAll } = start(t);
    const guest = peer('qemu');
    guest.send(FRAME, path);
    await harness.until(() => pipes.length === 1, 'the guest');
    readAll();
    rmSync(path);
    serve(open(harness, path));
    place.close();
    const at = harness.arena.allocate(100);
    assert.equal(pipes[0]?.write(at, 60), 60, 'it still hears');
    assert.equal(guest.send(FRAME, path), '');
    await harness.until(() => pipes.length === 2, 'the guest at the new socket');
    assert.deepEqual(readAll(), [FRAME]);
    assert.equal(pipes[0]?.error, 'ECONNABORTED');
    pipes[0]?.close();
    assert.equal(harness.descriptors.kind(place.fd), undefined);
  });

  it('replaces the file that a dead socket left and respects a living one', async (t) => {
    const { harness, path, place } = start(t);
    const again = (): unknown => openListeningSocket(harness.memory, { kind: 'unix', path }, libc.SOCK_DGRAM);
    assert.equal(again(), 'EADDRINUSE');
    place.close();
    assert.ok(existsSync(path));
    const fd = again();
    assert.ok(typeof fd === 'number');
    libc.close(fd);
  });
});
