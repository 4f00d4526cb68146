import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { type HostStream, type Origin, WOULD_BLOCK } from '../../../src/env/host.ts';
import * as libc from '../../../src/host/epoll/libc.ts';
import { writeProxyV2 } from '../../../src/host/proxy-v2.ts';
import { createEpollHarness, type EpollHarness } from './harness.ts';
import { ascii, pattern, pieces, Reader, StreamRecorder } from './peer.ts';

const ORIGIN: Origin = {
  guestAddress: 0xc0a84103,
  guestPort: 40_000,
  originalAddress: 0xc0a84101,
  originalPort: 53,
  attachment: 'tap0',
};
const HEADER = Buffer.from(writeProxyV2(ORIGIN));

function setUp(t: TestContext, peekOffset: boolean): { harness: EpollHarness; path: string } {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-test-'));
  const path = join(folder, 'dns.sock');
  const harness = createEpollHarness({ services: new Map([['dns', path]]), peekOffset });
  t.after(async () => {
    await harness.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { harness, path };
}

for (const peekOffset of [true, false]) {
  describe(peekOffset ? 'a gateway service on the kernel queue' : 'a gateway service on a ring', () => {
    it('gets the PROXY header first, then both sides talk and end', async (t) => {
      const { harness, path } = setUp(t, peekOffset);
      const received: Buffer[] = [];
      const answer = pattern(500_000);
      const server = net.createServer({ allowHalfOpen: true }, (socket) => {
        socket.on('data', (chunk) => received.push(chunk));
        socket.on('end', () => socket.end(answer));
      });
      server.listen(path);
      await once(server, 'listening');
      t.after(() => server.close());

      const recorder = new StreamRecorder();
      const stream = harness.host.dialService('dns', ORIGIN, recorder);
      assert.ok(typeof stream !== 'string', `dialService: ${stream}`);
      assert.equal(recorder.isConnected, false, 'no handler is called inside a call');
      await harness.until(() => recorder.isConnected, 'the connection');
      const at = harness.arena.allocate(64);
      harness.arena.bytes.set(ascii('question'), at);
      assert.equal(stream.write(pieces([at, 8])), 8);
      stream.shutdownWrite();
      const reader = new Reader(harness, stream);
      await harness.until(() => {
        reader.read();
        return reader.last !== WOULD_BLOCK;
      }, 'the end');
      assert.equal(reader.last, 0);
      assert.deepEqual(reader.bytes, Buffer.from(answer));
      stream.close();
      await harness.poll();
      const all = Buffer.concat(received);
      assert.deepEqual(all.subarray(0, HEADER.length), HEADER);
      assert.equal(String(all.subarray(HEADER.length)), 'question');
      assert.deepEqual(harness.descriptors.list('flow'), []);
    });
  });
}

describe('a gateway service', () => {
  it('that is unknown or does not listen refuses', (t) => {
    const { harness } = setUp(t, true);
    assert.equal(harness.host.dialService('none', ORIGIN, new StreamRecorder()), 'ECONNREFUSED');
    assert.equal(harness.host.dialService('dns', ORIGIN, new StreamRecorder()), 'ECONNREFUSED');
  });

  it('whose backlog is full is asked again until it has room', async (t) => {
    const { harness, path } = setUp(t, true);
    const { memory } = harness;
    const listener = libc.socket(libc.AF_UNIX, libc.SOCK_STREAM | libc.SOCK_FLAGS, 0);
    const length = memory.writeUnixAddress(path);
    assert.equal(libc.bind(listener, memory.base + memory.name, length), 0);
    assert.equal(libc.listen(listener, 0), 0);
    t.after(() => libc.close(listener));

    const dials: { recorder: StreamRecorder; stream: HostStream }[] = [];
    while (harness.counters.get('host-service-backlog-full') === 0) {
      const recorder = new StreamRecorder();
      const stream = harness.host.dialService('dns', ORIGIN, recorder);
      assert.ok(typeof stream !== 'string');
      dials.push({ recorder, stream });
      assert.ok(dials.length < 100, 'the backlog never fills');
    }
    const accepted: number[] = [];
    await harness.until(() => {
      const fd = libc.accept4(listener, 0, 0, libc.SOCK_FLAGS);
      if (fd >= 0) accepted.push(fd);
      return dials.every(({ recorder }) => recorder.isConnected);
    }, 'all connections');
    for (const { stream } of dials) stream.abort();
    for (const fd of accepted) libc.close(fd);
  });
});
