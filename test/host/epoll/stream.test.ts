import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import { FAILED, type HostStream, LOOPBACK4, WOULD_BLOCK } from '../../../src/env/host.ts';
import * as libc from '../../../src/host/epoll/libc.ts';
import { IP_TTL } from '../../../src/host/socket-options.ts';
import { EpollStream } from '../../../src/host/epoll/stream.ts';
import { createEpollHarness, type EpollHarness } from './harness.ts';
import { ascii, pattern, pieces, RawServer, Reader, StreamRecorder } from './peer.ts';

interface Connection {
  readonly harness: EpollHarness;
  readonly server: RawServer;
  readonly recorder: StreamRecorder;
  readonly stream: HostStream;
  /** The server's end. */
  readonly peer: number;
}

/** A dial whose events nobody has waited for yet. */
function dial(t: TestContext, peekOffset: boolean): Connection {
  const harness = createEpollHarness({ services: new Map(), peekOffset });
  const server = new RawServer(harness);
  const recorder = new StreamRecorder();
  const stream = harness.host.dial(LOOPBACK4, server.port, 0, recorder);
  assert.ok(typeof stream !== 'string', `dial failed at once: ${stream}`);
  t.after(() => {
    server.close();
    return harness.close();
  });
  return { harness, server, recorder, stream, peer: server.accept() };
}

async function open(t: TestContext, peekOffset: boolean): Promise<Connection> {
  const connection = dial(t, peekOffset);
  await connection.harness.until(() => connection.recorder.isConnected, 'the dial to succeed');
  return connection;
}

it('a dial’s own time to live ends with the dial', async (t) => {
  const harness = createEpollHarness();
  const server = new RawServer(harness);
  t.after(() => {
    server.close();
    return harness.close();
  });
  const recorder = new StreamRecorder();
  const stream = harness.host.dial(LOOPBACK4, server.port, 3, recorder);
  assert.ok(stream instanceof EpollStream);
  const ttl = (): number => harness.memory.option(stream.fd, IP_TTL);
  assert.equal(ttl(), 3);
  await harness.until(() => recorder.isConnected, 'the dial to succeed');
  assert.equal(ttl(), Number(readFileSync('/proc/sys/net/ipv4/ip_default_ttl', 'utf8')));
  stream.abort();
});

for (const peekOffset of [true, false]) {
  describe(peekOffset ? 'a stream on the kernel queue' : 'a stream on its own ring', () => {
    it('scatters what waits into strided slots and keeps it until it is consumed', async (t) => {
      const { harness, server, stream, peer } = await open(t, peekOffset);
      server.send(peer, ascii('abcdefghij'));
      const at = harness.arena.allocate(64);
      assert.equal(stream.peekInto(0, at, 4, 16, 3), 10);
      const slot = (i: number, length: number) =>
        Buffer.from(harness.arena.bytes.slice(at + i * 16, at + i * 16 + length));
      assert.deepEqual([slot(0, 4), slot(1, 4), slot(2, 2)].map(String), ['abcd', 'efgh', 'ij']);
      assert.equal(stream.peekInto(10, at, 4, 4, 1), WOULD_BLOCK);
      assert.equal(stream.peekInto(2, at, 4, 4, 1), 4, 'a peek goes back');
      stream.consume(3);
      assert.equal(stream.peekInto(3, at, 8, 8, 1), 4);
      assert.equal(String(slot(0, 4)), 'ghij');
      libc.close(peer);
    });

    it('delivers the ten bytes before a reset, then the reset and no clean end', async (t) => {
      const { harness, server, recorder, stream, peer } = dial(t, peekOffset);
      server.send(peer, ascii('0123456789'));
      server.reset(peer);
      await harness.until(() => recorder.readableCalls > 0, 'readable');
      assert.equal(recorder.isConnected, true, 'the peer had accepted');
      const reader = new Reader(harness, stream);
      reader.read();
      assert.equal(String(reader.bytes), '0123456789');
      assert.equal(reader.last, FAILED);
      assert.equal(stream.error, 'ECONNRESET');
      assert.equal(stream.peekInto(0, 64, 0, 0, 1), FAILED);
    });

    it('keeps the error that a write took when the queue is read afterwards', async (t) => {
      const { harness, server, recorder, stream, peer } = await open(t, peekOffset);
      server.send(peer, ascii('last words'));
      server.reset(peer);
      const at = harness.arena.allocate(64);
      assert.equal(stream.write(pieces([at, 10])), FAILED);
      const reader = new Reader(harness, stream);
      reader.read();
      assert.equal(String(reader.bytes), 'last words');
      assert.equal(reader.last, FAILED);
      assert.equal(stream.error, 'ECONNRESET');
      await harness.until(() => recorder.writableCalls > 0, 'the error to be announced to a writer');
    });

    it('delivers what arrived of 1 MiB before a reset, in order, then fails', async (t) => {
      const { harness, server, stream, peer } = await open(t, peekOffset);
      const bytes = pattern(2 ** 20);
      let sent = server.send(peer, bytes);
      // The window opens only as it is read, so a megabyte that is read by no one never leaves the peer.
      const reader = new Reader(harness, stream);
      while (sent < bytes.length) {
        reader.read();
        sent += Math.max(0, server.send(peer, bytes.subarray(sent)));
        await harness.poll();
      }
      server.reset(peer);
      await harness.until(() => {
        reader.read();
        return reader.last !== WOULD_BLOCK;
      }, 'an ending');
      assert.equal(reader.last, FAILED);
      assert.equal(stream.error, 'ECONNRESET');
      assert.deepEqual(reader.bytes, Buffer.from(bytes.subarray(0, reader.bytes.length)));
    });

    it('loses and doubles nothing around an urgent byte', async (t) => {
      const { harness, server, recorder, stream, peer } = await open(t, peekOffset);
      server.send(peer, ascii('abc'));
      server.send(peer, ascii('de!'), libc.MSG_OOB);
      server.send(peer, ascii('fgh'));
      libc.close(peer);
      const at = harness.arena.allocate(64);
      let text = '';
      let handled = 0;
      let last = WOULD_BLOCK;
      await harness.until(() => {
        // Peeks once for each call of readable and no oftener: a short peek must be announced again.
        if (recorder.readableCalls === handled) return false;
        handled = recorder.readableCalls;
        last = stream.peekInto(text.length, at, 64, 64, 1);
        if (last > 0) text += Buffer.from(harness.arena.bytes.slice(at, at + last));
        return last === 0;
      }, 'the end');
      assert.equal(text, 'abcde!fgh');
      stream.consume(9);
      assert.equal(stream.peekInto(0, at, 64, 64, 1), 0);
    });

    it('tells of the end that stands behind a short peek', async (t) => {
      const { harness, server, recorder, stream, peer } = await open(t, peekOffset);
      server.send(peer, ascii('bye'));
      server.end(peer);
      await harness.until(() => recorder.readableCalls > 0, 'readable');
      const at = harness.arena.allocate(64);
      const calls = recorder.readableCalls;
      assert.equal(stream.peekInto(0, at, 64, 64, 1), 3);
      await harness.until(() => stream.endAnnounced || recorder.readableCalls > calls, 'a word of the end');
      assert.equal(stream.peekInto(3, at, 64, 64, 1), 0);
      assert.equal(stream.peekInto(3, at, 0, 64, 1), WOULD_BLOCK, 'a peek of nothing is no end');
      assert.equal(stream.error, undefined);
    });

    it('ends gracefully although bytes were left unread', async (t) => {
      const { harness, server, stream, peer } = await open(t, peekOffset);
      const at = harness.arena.allocate(64);
      harness.arena.bytes.set(ascii('done'), at);
      server.send(peer, ascii('never read'));
      await harness.poll();
      assert.equal(stream.write(pieces([at, 4])), 4);
      stream.close();
      await harness.poll();
      assert.equal(String(Buffer.from(server.receive(peer) as Uint8Array)), 'done');
      assert.deepEqual(server.receive(peer), new Uint8Array(0));
      libc.close(peer);
    });
  });
}

describe('a stream', () => {
  it('on its own ring holds 256 KiB at most and says when it reads on', async (t) => {
    const { harness, server, recorder, stream, peer } = await open(t, false);
    const bytes = pattern(2 ** 20);
    const at = harness.arena.allocate(65536);
    let sent = 0;
    let seen = 0;
    await harness.until(() => {
      sent += Math.max(0, server.send(peer, bytes.subarray(sent)));
      const copied = stream.peekInto(seen, at, 65536, 65536, 1);
      if (copied > 0) seen += copied;
      return seen === 256 * 1024;
    }, 'a full ring');
    for (let i = 0; i < 5; i++) await harness.poll();
    assert.equal(stream.peekInto(seen, at, 65536, 65536, 1), WOULD_BLOCK);
    const calls = recorder.readableCalls;
    stream.consume(1000);
    await harness.until(() => recorder.readableCalls > calls, 'readable');
    assert.equal(stream.peekInto(seen - 1000, at, 65536, 65536, 1), 1000);
    assert.deepEqual(harness.arena.bytes.slice(at, at + 1000), bytes.slice(seen, seen + 1000));
    libc.close(peer);
  });

  it('tells of the end that came while its ring was full', async (t) => {
    const { harness, server, recorder, stream, peer } = await open(t, false);
    const bytes = pattern(300_000);
    const at = harness.arena.allocate(65536);
    let sent = 0;
    let seen = 0;
    let last = WOULD_BLOCK;
    // A reader that believes the seam: it peeks when told, and no more after a short peek.
    const read = (): void => {
      do {
        last = stream.peekInto(seen, at, 65536, 65536, 1);
        if (last > 0) seen += last;
      } while (last === 65536);
    };
    recorder.readable = read;
    await harness.until(() => {
      sent += Math.max(0, server.send(peer, bytes.subarray(sent)));
      return sent === bytes.length && seen === 256 * 1024;
    }, 'a full ring');
    server.end(peer);
    for (let i = 0; i < 5; i++) await harness.poll();
    read();
    assert.equal(last, WOULD_BLOCK);
    stream.consume(seen);
    seen = 0;
    await harness.until(() => last === 0, 'the end');
    assert.equal(seen, bytes.length - 256 * 1024);
  });

  it('lets its descriptor go when the peer resets what close left to deliver', async (t) => {
    for (const resetFirst of [true, false]) {
      const { harness, server, stream, peer } = await open(t, true);
      const at = harness.arena.allocate(4 * 2 ** 20);
      stream.write(pieces([at, 4 * 2 ** 20]));
      if (resetFirst) {
        server.reset(peer);
        await harness.poll();
      }
      stream.close();
      if (!resetFirst) server.reset(peer);
      await harness.until(() => harness.descriptors.list('flow').length === 0, 'the descriptor to be closed');
    }
  });

  it('says what a refused dial failed with, once, and is closed then', async (t) => {
    const harness = createEpollHarness();
    t.after(() => harness.close());
    const server = new RawServer(harness);
    server.close();
    const recorder = new StreamRecorder();
    const stream = harness.host.dial(LOOPBACK4, server.port, 0, recorder);
    if (typeof stream !== 'string') await harness.until(() => recorder.failure !== undefined, 'the refusal');
    assert.equal(typeof stream === 'string' ? stream : recorder.failure, 'ECONNREFUSED');
    assert.equal(recorder.isConnected, false);
    await harness.poll();
    assert.deepEqual(harness.descriptors.list('flow'), []);
  });

  it('takes what fits of 4 MiB, says when there is room, and loses nothing', async (t) => {
    const { harness, server, recorder, stream, peer } = await open(t, true);
    const bytes = pattern(4 * 2 ** 20);
    const at = harness.arena.allocate(bytes.length);
    harness.arena.bytes.set(bytes, at);
    const list = (from: number) => {
      const ranges: [number, number][] = [];
      for (let i = from; i < bytes.length; i += 1460) ranges.push([at + i, Math.min(1460, bytes.length - i)]);
      return pieces(...ranges);
    };
    let written = stream.write(list(0));
    assert.ok(written > 0 && written < bytes.length, `the kernel took ${written}`);
    assert.equal(stream.write(list(written)), 0);
    assert.equal(recorder.writableCalls, 0);
    const received: Uint8Array[] = [];
    let seen = 0;
    await harness.until(() => {
      const part = server.receive(peer);
      if (typeof part !== 'string') {
        received.push(part);
        seen += part.length;
      }
      if (recorder.writableCalls > 0 && written < bytes.length) written += stream.write(list(written));
      return seen === bytes.length;
    }, 'all bytes');
    assert.deepEqual(Buffer.concat(received), Buffer.from(bytes));
    libc.close(peer);
  });

  it('keeps its descriptor after close until a slow peer has taken everything', async (t) => {
    const { harness, server, stream, peer } = await open(t, true);
    const bytes = pattern(4 * 2 ** 20);
    const at = harness.arena.allocate(bytes.length);
    harness.arena.bytes.set(bytes, at);
    const written = stream.write(pieces([at, bytes.length]));
    assert.ok(written >= 300_000, `the kernel took ${written}`);
    stream.shutdownWrite();
    stream.close();
    await harness.poll();
    assert.equal(harness.descriptors.list('flow').length, 1);
    const received: Uint8Array[] = [];
    await harness.until(() => {
      const part = server.receive(peer);
      if (typeof part !== 'string') received.push(part);
      return part.length === 0;
    }, 'the FIN');
    assert.deepEqual(Buffer.concat(received), Buffer.from(bytes.subarray(0, written)));
    server.end(peer);
    await harness.until(() => harness.descriptors.list('flow').length === 0, 'the descriptor to be closed');
  });

  it('keeps no more than 256 descriptors of closed connections with bytes on their way', async (t) => {
    const harness = createEpollHarness({ services: new Map() });
    // What is accepted inherits the small buffer, so that little is enough to stay unacknowledged.
    const server = new RawServer(harness, LOOPBACK4, 4096);
    t.after(() => {
      server.close();
      return harness.close();
    });
    const list = pieces([harness.arena.allocate(64 * 1024), 64 * 1024]);
    const before = harness.descriptors.list('flow').length;
    const peers: number[] = [];
    for (let i = 0; i < 260; i++) {
      const recorder = new StreamRecorder();
      const stream = harness.host.dial(LOOPBACK4, server.port, 0, recorder) as HostStream;
      peers.push(server.accept());
      await harness.until(() => recorder.isConnected, 'the dial to succeed');
      stream.write(list);
      stream.shutdownWrite();
      stream.close();
    }
    await harness.poll();
    assert.equal(harness.descriptors.list('flow').length - before, 256);
    assert.equal(harness.counters.get('host-linger-cut'), 4);
    // The kernel delivers what those four had left.
    let received = 0;
    await harness.until(() => {
      const bytes = server.receive(peers[0] as number);
      if (typeof bytes !== 'string') received += bytes.length;
      return received === 64 * 1024;
    }, 'the first peer to have everything');
    for (const peer of peers) libc.close(peer);
  });

  it('resets its peer on abort, also after close', async (t) => {
    for (const closeFirst of [false, true]) {
      const { harness, server, stream, peer } = await open(t, true);
      const at = harness.arena.allocate(4 * 2 ** 20);
      if (closeFirst) {
        stream.write(pieces([at, 4 * 2 ** 20]));
        stream.close();
      }
      stream.abort();
      stream.abort();
      await harness.poll();
      await harness.until(() => server.receive(peer) === 'ECONNRESET', 'a reset');
      assert.deepEqual(harness.descriptors.list('flow'), []);
      libc.close(peer);
    }
  });

  it('resets its peer when the process that holds it goes away', async (t) => {
    const { harness, server, peer } = await open(t, true);
    const [fd] = harness.descriptors.list('flow');
    harness.descriptors.forget(fd as number);
    libc.close(fd as number);
    await harness.until(() => server.receive(peer) === 'ECONNRESET', 'a reset');
    libc.close(peer);
  });

  it('hears nothing after close, though the same batch holds an event for it', async (t) => {
    const { harness, server, recorder, stream, peer } = await open(t, true);
    const other = new StreamRecorder();
    const second = harness.host.dial(LOOPBACK4, server.port, 0, other);
    assert.ok(typeof second !== 'string');
    const secondPeer = server.accept();
    await harness.until(() => other.isConnected, 'the second dial');
    // Whichever is told first aborts the other, and a new dial may take the number at once.
    recorder.readable = () => {
      recorder.readableCalls++;
      second.abort();
    };
    other.readable = () => {
      other.readableCalls++;
      stream.abort();
    };
    server.send(peer, ascii('x'));
    server.send(secondPeer, ascii('x'));
    await harness.until(() => recorder.readableCalls + other.readableCalls > 0, 'readable');
    await harness.poll();
    assert.equal(recorder.readableCalls + other.readableCalls, 1);
    libc.close(peer);
    libc.close(secondPeer);
  });
});
