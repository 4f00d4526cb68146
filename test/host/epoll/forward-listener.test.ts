import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fstatSync, openSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import koffi from 'koffi';
import type { HostStream } from '../../../src/env/host.ts';
import { LOOPBACK4, LOOPBACK6 } from '../../../src/env/host.ts';
import { hostAddressText } from '../../../src/host/address-text.ts';
import * as libc from '../../../src/host/epoll/libc.ts';
import { Errno } from '../../../src/host/errno.ts';
import { SO_KEEPALIVE, SO_REUSEADDR, TCP_KEEPIDLE } from '../../../src/host/socket-options.ts';
import { SocketPaths } from '../suite/socket-paths.ts';
import type { ListenerLimitFindings } from './few-listeners-probe.ts';
import { createEpollHarness, type EpollHarness, socketPair } from './harness.ts';
import { StreamRecorder } from './peer.ts';

const system = koffi.load(null);
const dup: (fd: number) => number = system.func('int dup(int)');
const dup2: (from: number, to: number) => number = system.func('int dup2(int, int)');

describe('a forward’s listener', () => {
  const harness = createEpollHarness();
  after(() => harness.close());

  it('keeps its port while it is paused, also beside connections that live, and listens again', async () => {
    for (const address of [LOOPBACK4, LOOPBACK6, 0]) {
      const { listener, streams, port } = await listen(harness, address);
      const target = address === 0 ? LOOPBACK4 : address;
      assertTaken(harness, address, port, 'paused from the start');
      assert.equal(await outcome(harness, target, port), 'ECONNREFUSED');
      assert.equal(listener.resume(), undefined);
      assertTaken(harness, address, port, 'listening');
      const client = open(target, port);
      await harness.until(() => streams.length === 1, 'the client');
      for (let round = 0; round < 3; round++) {
        listener.pause();
        assertTaken(harness, address, port, 'paused');
        assert.equal(await outcome(harness, target, port), 'ECONNREFUSED');
        assert.equal(listener.resume(), undefined);
        assertTaken(harness, address, port, 'resumed');
        assert.equal(await outcome(harness, target, port), 'connected');
      }
      assert.equal(streams[0]!.error, undefined);
      listener.close();
      // Free at once, though a connection lives.
      const again = bindAlso(harness, address, port, true);
      assert.ok(again >= 0, 'the port of a closed forward can be bound again');
      libc.close(again);
      for (const stream of streams) stream.abort();
      client.destroy();
    }
  });

  it('leaves no client hanging of a thousand that connect while it pauses and resumes', async () => {
    const { listener, port, streams } = await listen(harness, LOOPBACK4);
    assert.equal(listener.resume(), undefined);
    const outcomes: Promise<string>[] = [];
    for (let i = 0; i < 1000; i++) {
      outcomes.push(ending(open(LOOPBACK4, port)));
      if (i % 7 === 0) listener.pause();
      if (i % 7 === 3) listener.resume();
      if (i % 5 === 0) await harness.poll();
    }
    listener.pause();
    let ended: string[] | undefined;
    void Promise.all(outcomes).then((all) => {
      ended = all;
    });
    await harness.until(() => {
      for (const stream of streams.splice(0)) stream.abort();
      return ended !== undefined;
    }, 'every client to hear something');
    const words = new Set(ended);
    for (const word of words) assert.ok(['ECONNREFUSED', 'ECONNRESET', 'closed'].includes(word), word);
    listener.close();
  });

  it('resets what waits in the backlog when it is paused', async () => {
    const { listener, port, streams } = await listen(harness, LOOPBACK4);
    assert.equal(listener.resume(), undefined);
    const word = ending(open(LOOPBACK4, port));
    let connected = '';
    void word.then((it) => {
      connected = it;
    });
    // The kernel has completed the handshake, the engine has not looked yet.
    await new Promise((resolve) => setImmediate(resolve));
    listener.pause();
    await harness.until(() => connected !== '', 'the reset');
    assert.ok(['ECONNRESET', 'ECONNREFUSED'].includes(connected), connected);
    assert.equal(streams.length, 0);
    listener.close();
  });

  it('is handed to the next network thread: clients wait in the backlog, those of the dead one are reset', async () => {
    const dying = createEpollHarness();
    const { sockets, places } = await dying.bind('tcp', [{ address: LOOPBACK4, index: 0 }]);
    assert.ok(sockets.kind === 'descriptors');
    const streams: HostStream[] = [];
    const first = dying.host.listenStreams(sockets, accepting(streams));
    assert.ok(typeof first !== 'string');
    assert.equal(first.resume(), undefined);
    const { port } = places[0]!;
    const word = ending(open(LOOPBACK4, port));
    await dying.until(() => streams.length === 1, 'the client');
    // What NetworkControl does: all is closed but what it keeps.
    dying.poller.close();
    for (const fd of dying.descriptors.list('flow', 'other', 'listener')) {
      if (sockets.fds.includes(fd)) assert.equal(dying.descriptors.kind(fd), 'listener');
      else libc.close(fd);
    }
    assert.equal(await word, 'ECONNRESET');
    const patient = open(LOOPBACK4, port);
    const [living, taken]: [EpollHarness, HostStream[]] = [createEpollHarness(), []];
    const second = living.host.listenStreams(sockets, accepting(taken));
    assert.ok(typeof second !== 'string');
    assert.equal(second.resume(), undefined);
    await living.until(() => taken.length === 1, 'the patient client');
    second.pause();
    assert.equal(await outcome(living, LOOPBACK4, port), 'ECONNREFUSED');
    patient.destroy();
    await living.close();
  });

  it('that is handed on while it listens stops listening when it is paused', async () => {
    const { sockets, places } = await harness.bind('tcp', [{ address: LOOPBACK4, index: 0 }]);
    assert.ok(sockets.kind === 'descriptors');
    libc.listen(sockets.fds[0]!, 10);
    const listener = harness.host.listenStreams(sockets, accepting([]));
    assert.ok(typeof listener !== 'string');
    listener.pause();
    assert.equal(await outcome(harness, LOOPBACK4, places[0]!.port), 'ECONNREFUSED');
    listener.close();
  });

  it('on a unix socket that is handed on while it listens turns clients away when it is paused', async () => {
    const paths = new SocketPaths();
    const { sockets, places } = await harness.bindUnix(paths.path('forward'));
    assert.ok(sockets.kind === 'descriptors');
    libc.listen(sockets.fds[0]!, 10);
    const streams: HostStream[] = [];
    const listener = harness.host.listenStreams(sockets, accepting(streams));
    assert.ok(typeof listener !== 'string');
    listener.pause();
    let word = '';
    void ending(connect({ path: places[0]!.path as string })).then((it) => {
      word = it;
    });
    await harness.until(() => word !== '', 'the client to be turned away');
    assert.equal(word, 'closed');
    assert.equal(streams.length, 0);
    listener.close();
    paths.remove();
  });

  it('says what is wrong with a descriptor, and closes all', async () => {
    const { sockets, places } = await harness.bind('tcp', [{ address: LOOPBACK4, index: 0 }]);
    assert.ok(sockets.kind === 'descriptors');
    const fds = [...sockets.fds, harness.poller.wakeDescriptor + 100_000];
    const listener = harness.host.listenStreams({ kind: 'descriptors', fds, index: [0, 1] }, accepting([]));
    assert.equal(typeof listener, 'string');
    const again = bindAlso(harness, LOOPBACK4, places[0]!.port, false);
    assert.ok(again >= 0, 'the port is free again');
    libc.close(again);
  });

  it('takes the next client when those before it reset before they were accepted', async (t) => {
    const { sockets, places } = await harness.bind('tcp', [{ address: LOOPBACK4, index: 0 }]);
    const accepted = new Set<number>();
    const listener = harness.host.listenStreams(sockets, {
      accepted: (_stream, client) => {
        accepted.add(client.port);
        return new StreamRecorder();
      },
    });
    assert.ok(typeof listener !== 'string');
    assert.equal(listener.resume(), undefined);
    const { memory } = harness;
    const { port } = places[0]!;
    for (let i = 0; i < 20; i++) {
      const fd = libc.socket(libc.AF_INET, libc.SOCK_STREAM, 0);
      assert.equal(libc.connect(fd, memory.base + memory.name, memory.writeAddress(memory.name, LOOPBACK4, port)), 0);
      memory.setResetOnClose(fd, true);
      libc.close(fd);
    }
    const last = open(LOOPBACK4, port);
    t.after(() => last.destroy());
    await harness.until(() => accepted.has(last.localPort ?? 0), 'the client that stayed');
    listener.close();
  });

  it('asks clients that say nothing whether they are there, by keepalive', async (t) => {
    const harness = createEpollHarness({ services: new Map(), keepAliveSeconds: 1 });
    t.after(() => harness.close());
    const { listener, port, streams } = await listen(harness, LOOPBACK4);
    assert.equal(listener.resume(), undefined);
    const client = open(LOOPBACK4, port);
    t.after(() => client.destroy());
    await harness.until(() => streams.length === 1, 'the client');
    const [flow] = harness.descriptors.list('flow');
    assert.ok(flow !== undefined);
    await harness.until(() => harness.memory.option(flow, SO_KEEPALIVE) === 1, 'keepalive');
    assert.equal(harness.memory.option(flow, TCP_KEEPIDLE), 1);
    assert.equal(streams[0]!.error, undefined);
    listener.close();
  });

  it('closes a descriptor that cannot become a stream', async () => {
    const file = openSync('/dev/null', 'r');
    const [watched, other] = socketPair(harness.memory);
    const slot = harness.poller.add(watched, { ready: () => {} });
    for (const fd of [file, watched]) {
      assert.equal(typeof harness.host.adoptStream(fd, new StreamRecorder()), 'string');
    }
    await harness.poll();
    for (const fd of [file, watched]) {
      assert.throws(() => fstatSync(fd), { code: 'EBADF' });
      assert.equal(harness.descriptors.kind(fd), undefined);
    }
    harness.poller.remove(slot);
    libc.close(other);
  });

  it('rests and counts while accept fails with an error that lasts, and goes on when it is over', async () => {
    const { listener, streams, port } = await listen(harness, LOOPBACK4);
    assert.equal(listener.resume(), undefined);
    const fd = harness.descriptors.list('listener').at(-1)!;
    // The socket lives on under another number, and epoll wakes for it; accept meets no socket (ENOTSOCK).
    const saved = dup(fd);
    const file = openSync('/dev/null', 'r');
    dup2(file, fd);
    const client = open(LOOPBACK4, port);
    try {
      await harness.until(() => harness.counters.get('forward-accept-failed') >= 2, 'accept to fail twice');
      assert.equal(streams.length, 0);
    } finally {
      dup2(saved, fd);
      for (const spare of [saved, file]) libc.close(spare);
    }
    await harness.until(() => streams.length === 1, 'the client to be accepted');
    listener.close();
    for (const stream of streams) stream.abort();
    client.destroy();
  });

  it('without a free descriptor rests, counts and takes its clients later', async () => {
    const probe = fileURLToPath(new URL('./few-listeners-probe.ts', import.meta.url));
    const limited = 'ulimit -n 80 && exec "$0" "$1"';
    const { stdout } = await promisify(execFile)('sh', ['-c', limited, process.execPath, probe]);
    const { failures, ...findings } = JSON.parse(stdout) as ListenerLimitFindings;
    assert.deepEqual(findings, { accepted: 3 });
    assert.ok(failures >= 2 && failures < 50, `accept was tried ${failures} times in a few hundred ms`);
  });
});

function accepting(streams: HostStream[]): { accepted(stream: HostStream): StreamRecorder } {
  return {
    accepted: (stream) => {
      streams.push(stream);
      return new StreamRecorder();
    },
  };
}

async function listen(harness: EpollHarness, address: number) {
  const { sockets, places } = await harness.bind('tcp', [{ address, index: 0 }]);
  const streams: HostStream[] = [];
  const listener = harness.host.listenStreams(sockets, accepting(streams));
  assert.ok(typeof listener !== 'string', `cannot listen: ${listener as string}`);
  return { listener, streams, port: places[0]!.port };
}

function open(address: number, port: number): Socket {
  return connect({ host: hostAddressText(address), port });
}

/** How a client's connection ends. */
function ending(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once('error', (error) => resolve((error as NodeJS.ErrnoException).code ?? 'error'));
    socket.once('close', () => resolve('closed'));
    socket.resume();
  });
}

/** Whether a client gets through. */
async function outcome(harness: EpollHarness, address: number, port: number): Promise<string> {
  const socket = open(address, port);
  let word = '';
  socket.once('connect', () => {
    word ||= 'connected';
  });
  socket.once('error', (error) => {
    word ||= (error as NodeJS.ErrnoException).code ?? 'error';
  });
  await harness.until(() => word !== '', 'the client to hear');
  socket.destroy();
  return word;
}

/** A second socket at that place, or a negative errno. */
function bindAlso(harness: EpollHarness, address: number, port: number, reuse: boolean): number {
  const { memory } = harness;
  const fd = libc.socket(address === LOOPBACK6 ? libc.AF_INET6 : libc.AF_INET, libc.SOCK_STREAM | libc.SOCK_FLAGS, 0);
  memory.setOption(fd, SO_REUSEADDR, reuse ? 1 : 0);
  const length = memory.writeAddress(memory.name, address, port);
  const bound = libc.bind(fd, memory.base + memory.name, length) === 0 && libc.listen(fd, 1) === 0;
  if (bound) return fd;
  const number = libc.errno();
  libc.close(fd);
  return -number;
}

function assertTaken(harness: EpollHarness, address: number, port: number, when: string): void {
  for (const reuse of [false, true]) {
    assert.equal(bindAlso(harness, address, port, reuse), -Errno.EADDRINUSE, `${when}, SO_REUSEADDR ${reuse}`);
  }
}
