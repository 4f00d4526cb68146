import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { FAILED, type HostPipe, type HostPipeHandler, LOOPBACK4, WOULD_BLOCK } from '../../../src/env/host.ts';
import { boundPort, openListeningSocket } from '../../../src/host/epoll/attachment-listener.ts';
import * as libc from '../../../src/host/epoll/libc.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { createEpollHarness } from './harness.ts';
import { ascii, pattern } from './peer.ts';

class PipeRecorder implements HostPipeHandler {
  readableCalls = 0;
  writableCalls = 0;

  readable(): void {
    this.readableCalls++;
  }

  writable(): void {
    this.writableCalls++;
  }
}

describe('a guest listener', () => {
  it('takes guests at a unix socket that is for this user only, and carries bytes both ways', async (t) => {
    const harness = createEpollHarness();
    const path = join(temporaryFolder('test'), 'guest.sock');
    const recorder = new PipeRecorder();
    const pipes: HostPipe[] = [];
    const fd = openListeningSocket(harness.memory, { kind: 'unix', path });
    assert.ok(typeof fd === 'number');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const listener = harness.host.listen(fd, (pipe) => {
      pipes.push(pipe);
      return recorder;
    });
    const guest = net.connect(path);
    t.after(() => {
      guest.destroy();
      return harness.close();
    });
    const bytes = pattern(8 * 2 ** 20);
    const at = harness.arena.allocate(bytes.length);
    harness.arena.bytes.set(bytes, at);
    await harness.until(() => pipes.length === 1, 'the guest');
    const pipe = pipes[0] as HostPipe;
    assert.equal(pipe.read(at, 10), WOULD_BLOCK);
    let written = pipe.write(at, bytes.length);
    assert.ok(written > 0 && written < bytes.length, `the kernel took ${written}`);
    const received: Buffer[] = [];
    guest.on('data', (chunk) => received.push(chunk));
    let told = recorder.writableCalls;
    await harness.until(() => {
      if (recorder.writableCalls > told && written < bytes.length) {
        told = recorder.writableCalls;
        written += pipe.write(at + written, bytes.length - written);
      }
      return received.reduce((sum, chunk) => sum + chunk.length, 0) === bytes.length;
    }, 'all bytes at the guest');
    assert.deepEqual(Buffer.concat(received), Buffer.from(bytes));

    guest.end('good bye');
    await harness.until(() => recorder.readableCalls > 0, 'readable');
    let text = '';
    await harness.until(() => {
      const length = pipe.read(at, 100);
      if (length > 0) text += Buffer.from(harness.arena.bytes.slice(at, at + length));
      return length === 0;
    }, 'the end');
    assert.equal(text, 'good bye');
    pipe.close();
    assert.equal(pipe.read(at, 100), FAILED);
    listener.close();
    await harness.poll();
    assert.deepEqual(harness.descriptors.list('guest', 'listener'), []);
  });

  it('replaces the socket file that a dead listener left and respects a living one', async (t) => {
    const harness = createEpollHarness();
    t.after(() => harness.close());
    const path = join(temporaryFolder('test'), 'guest.sock');
    const first = openListeningSocket(harness.memory, { kind: 'unix', path });
    assert.ok(typeof first === 'number');
    assert.equal(openListeningSocket(harness.memory, { kind: 'unix', path }), 'EADDRINUSE');
    libc.close(first);
    assert.ok(existsSync(path));
    const second = openListeningSocket(harness.memory, { kind: 'unix', path });
    assert.ok(typeof second === 'number');
    libc.close(second);
  });

  it('never replaces a file that is no socket', async (t) => {
    const harness = createEpollHarness();
    const folder = mkdtempSync(join(tmpdir(), 'slipway-'));
    t.after(() => {
      rmSync(folder, { recursive: true });
      return harness.close();
    });
    const file = join(folder, 'notes.txt');
    writeFileSync(file, 'precious');
    const link = join(folder, 'link.sock');
    symlinkSync(file, link);
    for (const path of [file, link, folder]) {
      assert.equal(openListeningSocket(harness.memory, { kind: 'unix', path }), 'ENOTSOCK');
    }
    assert.equal(readFileSync(link, 'utf8'), 'precious');
  });

  it('turns a guest away when nobody wants it, and takes the next', async () => {
    const harness = createEpollHarness();
    const fd = openListeningSocket(harness.memory, { kind: 'tcp', address: LOOPBACK4, port: 0 });
    assert.ok(typeof fd === 'number');
    let asked = 0;
    harness.host.listen(fd, () => (++asked === 1 ? undefined : new PipeRecorder()));
    const port = boundPort(harness.memory, fd);
    const first = net.connect(port, '127.0.0.1');
    let closed = false;
    first
      .on('error', () => {})
      .on('close', () => {
        closed = true;
      });
    await harness.until(() => closed, 'the first guest to be turned away');
    const second = net.connect(port, '127.0.0.1');
    await harness.until(() => asked === 2, 'the second guest');
    assert.equal(harness.descriptors.list('guest').length, 1);
    second.destroy();
    await harness.close();
  });
});

describe('a guest dialer', () => {
  it('dials until the guest listens, and again after the pipe was closed', async (t) => {
    const harness = createEpollHarness();
    const path = join(temporaryFolder('test'), 'qemu.sock');
    const pipes: HostPipe[] = [];
    const dialer = harness.host.redial({ kind: 'unix', path }, (pipe) => {
      pipes.push(pipe);
      return new PipeRecorder();
    });
    await harness.poll();
    const server = net.createServer();
    t.after(async () => {
      server.close();
      await harness.close();
    });
    const connections: net.Socket[] = [];
    server.on('connection', (socket) => connections.push(socket));
    server.listen(path);
    await once(server, 'listening');
    await harness.until(() => pipes.length === 1 && connections.length === 1, 'the first connection');
    pipes[0]?.close();
    await harness.until(() => pipes.length === 2 && connections.length === 2, 'the second connection');
    dialer.close();
    pipes[1]?.close();
    for (const socket of connections) socket.destroy();
    await harness.poll();
    assert.deepEqual(harness.descriptors.list('guest'), []);
  });
});

describe('a pipe', () => {
  it('tells of the end that stands behind a short read', async (t) => {
    const harness = createEpollHarness();
    t.after(() => harness.close());
    const pair = harness.arena.allocate(64);
    const at = harness.arena.allocate(64);
    assert.equal(libc.socketpair(libc.AF_UNIX, libc.SOCK_STREAM | libc.SOCK_FLAGS, 0, harness.memory.base + pair), 0);
    const peer = harness.memory.i32(pair + 4);
    libc.send(peer, harness.memory.base + at, 5, 0);
    libc.close(peer);
    const pipe = harness.host.adoptPipe(harness.memory.i32(pair), 'stream');
    assert.ok(typeof pipe !== 'string');
    const results: number[] = [];
    // One read for each call, as one that stops at a short read.
    pipe.handler = { readable: () => results.push(pipe.read(at, 64)), writable: () => {} };
    await harness.until(() => results.length >= 2, 'a second readable');
    assert.deepEqual(results.slice(0, 2), [5, 0]);
    pipe.close();
    await harness.poll();
    assert.equal(results.length, 2);
  });

  it('calls a tap frame that the kernel refuses lost, and lives', async (t) => {
    const harness = createEpollHarness();
    t.after(() => harness.close());
    // A message longer than the send buffer is refused as a whole by a packet socket, as a frame is by a tap.
    const pair = harness.arena.allocate(64);
    assert.equal(libc.socketpair(libc.AF_UNIX, 5 | libc.SOCK_FLAGS, 0, harness.memory.base + pair), 0);
    const fd = harness.memory.i32(pair);
    const pipe = harness.host.adoptPipe(fd, 'tap');
    assert.ok(typeof pipe !== 'string');
    const at = harness.arena.allocate(2 ** 22);
    assert.equal(pipe.write(at, 2 ** 22), FAILED);
    assert.equal(pipe.error, undefined);
    assert.equal(harness.counters.get('tap-frame-refused'), 1);
    harness.arena.bytes.set(ascii('frame'), at);
    assert.equal(pipe.write(at, 5), 5);
    libc.close(harness.memory.i32(pair + 4));
    pipe.close();
  });

  it('refuses a number that is no descriptor', async (t) => {
    const harness = createEpollHarness();
    t.after(() => harness.close());
    assert.equal(harness.host.adoptPipe(1_000_000, 'tap'), 'EIO');
  });
});
