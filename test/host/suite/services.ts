import { strict as assert } from 'node:assert';
import type { HostStream } from '../../../src/env/host.ts';
import type { HostCase } from './host-case.ts';
import { assertSameBytes, pattern, type Rig, StreamEvents } from './rig.ts';

/** The services that each harness is made with. */
export const SERVICE_NAMES: readonly string[] = ['dns', 'nobody-listens'];

const ORIGIN = {
  guestAddress: 0xc0a84103,
  guestPort: 40_000,
  originalAddress: 0xc0a84101,
  originalPort: 53,
  attachment: 'tap0',
};
/**
 * Signature; version 2, PROXY; TCP over IPv4; 19 bytes; 192.168.65.3, 192.168.65.1; 40000, 53; an extension of 4 bytes,
 * "tap0".
 */
const HEADER = Buffer.from(
  '0d0a0d0a000d0a515549540a' + '21' + '11' + '0013' + 'c0a84103' + 'c0a84101' + '9c40' + '0035' + 'e00004' + '74617030',
  'hex',
);

export const services: readonly HostCase[] = [
  {
    name: 'a gateway service gets exactly the PROXY v2 header, then the bytes of the guest',
    async run(rig) {
      const server = await rig.peers.listenService('dns');
      const { stream, events } = dialDns(rig);
      await rig.until(() => events.isConnected && server.connections.length === 1, 'the connection');
      const peer = server.connections[0]!;
      await rig.until(() => peer.receivedBytes >= HEADER.length, 'the header');
      assertSameBytes(peer.received(), HEADER);
      await rig.writeAll(stream, pattern(100_000));
      await rig.until(() => peer.receivedBytes === HEADER.length + 100_000, 'the bytes');
      assertSameBytes(peer.received().subarray(HEADER.length), pattern(100_000));
      stream.shutdownWrite();
      await rig.until(() => peer.ended, 'the FIN');
      peer.send(pattern(100_000, 2));
      peer.end();
      const { bytes, ending } = await rig.read(stream);
      assertSameBytes(bytes, pattern(100_000, 2));
      assert.equal(ending, 'FIN');
      stream.close();
    },
  },
  {
    name: 'bytes of a gateway service are peeked and consumed like those of the outside',
    async run(rig) {
      const server = await rig.peers.listenService('dns');
      const { stream } = dialDns(rig);
      await rig.until(() => server.connections.length === 1, 'the connection');
      const all = pattern(50_000);
      server.connections[0]?.send(all);
      await rig.waiting(stream, all.length);
      for (const offset of [0, 49_999, 10_000]) {
        assertSameBytes(rig.peek(stream, offset, 1460, 3).bytes, all.subarray(offset, offset + 4380));
      }
      stream.consume(20_000);
      assertSameBytes(rig.peek(stream, 0, 1460, 3).bytes, all.subarray(20_000, 24_380));
      stream.abort();
      await rig.until(() => server.connections[0]?.ended || server.connections[0]?.error !== undefined, 'the end');
    },
  },
  {
    name: 'a gateway service that nobody serves fails the dial',
    async run(rig) {
      for (const name of ['nobody-listens', 'unknown']) {
        const events = new StreamEvents();
        const stream = rig.harness.host.dialService(name, ORIGIN, events);
        if (typeof stream === 'string') continue;
        await rig.until(() => events.calls.length > 0, 'the failure');
        assert.deepEqual(events.calls, ['failed']);
      }
    },
  },
];

function dialDns(rig: Rig): { stream: HostStream; events: StreamEvents } {
  const events = new StreamEvents();
  const stream = rig.harness.host.dialService('dns', ORIGIN, events);
  assert.ok(typeof stream !== 'string', `the dial failed at once: ${stream as string}`);
  return { stream, events };
}
