import { strict as assert } from 'node:assert';
import { FAILED, LOOPBACK4, LOOPBACK6 } from '../../../src/env/host.ts';
import type { PeerConnection } from './harness.ts';
import type { HostCase } from './host-case.ts';
import { assertSameBytes, pattern } from './rig.ts';

const MAPPED_LOOPBACK4 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1];
const LOOPBACK6_BYTES = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

export const listening: readonly HostCase[] = [
  {
    name: 'a listener tells who connected: address and port of both sides',
    async run(rig) {
      for (const [address, bytes] of [
        [LOOPBACK4, MAPPED_LOOPBACK4],
        [LOOPBACK6, LOOPBACK6_BYTES],
      ] as const) {
        const listening = await rig.listenAt(address);
        const { client, accepted } = await rig.connectTo(listening, listening.place);
        await rig.until(() => client.from !== undefined, 'the client to know itself');
        assert.deepEqual({ address: accepted.address, port: accepted.port }, { address, port: client.from?.port });
        assert.deepEqual([...accepted.clientBytes], bytes);
        assert.deepEqual([...accepted.localBytes], bytes);
        assert.equal(accepted.localPort, listening.place.port);
        accepted.stream.abort();
        listening.listener.close();
      }
    },
  },
  {
    name: 'an accepted stream carries megabytes both ways, and each direction ends by itself',
    async run(rig) {
      const listening = await rig.listenAt(LOOPBACK4);
      const { client, accepted } = await rig.connectTo(listening, listening.place);
      const { stream, events } = accepted;
      const all = pattern(3 << 20);
      client.send(all);
      client.end();
      const { bytes, ending } = await rig.read(stream);
      assert.equal(ending, 'FIN');
      assertSameBytes(bytes, all);
      // The other way is open still.
      const answer = pattern(2 << 20, 2);
      await rig.writeAll(stream, answer);
      stream.shutdownWrite();
      await rig.until(() => client.ended, 'the end to arrive');
      assertSameBytes(client.received(), answer);
      stream.close();
      assert.equal(client.error, undefined);
      assert.deepEqual(
        events.calls.filter((call) => call === 'connected' || call === 'failed'),
        [],
      );
      listening.listener.close();
    },
  },
  {
    name: 'the host’s side may end first: the client’s bytes still come',
    async run(rig) {
      const listening = await rig.listenAt(LOOPBACK6);
      const { client, accepted } = await rig.connectTo(listening, listening.place);
      accepted.stream.shutdownWrite();
      await rig.until(() => client.ended, 'the end to arrive');
      client.send(pattern(100_000));
      client.end();
      const { bytes, ending } = await rig.read(accepted.stream);
      assertSameBytes(bytes, pattern(100_000));
      assert.equal(ending, 'FIN');
      accepted.stream.close();
      listening.listener.close();
    },
  },
  {
    name: 'what a client sent before it was accepted waits to be read',
    async run(rig) {
      const listening = await rig.listenAt(LOOPBACK4);
      const client = rig.peers.connect(listening.place);
      client.send(pattern(5000));
      await rig.until(() => listening.accepted.length === 1, 'the client');
      const { stream, events } = listening.accepted[0]!;
      await rig.until(() => events.count('readable') > 0, 'a call of readable');
      assertSameBytes((await rig.read(stream, 5000)).bytes, pattern(5000));
      stream.abort();
      listening.listener.close();
    },
  },
  {
    name: 'a client that resets ends its stream with ECONNRESET, behind the bytes that came before',
    async run(rig) {
      const listening = await rig.listenAt(LOOPBACK4);
      const { client, accepted } = await rig.connectTo(listening, listening.place);
      client.send(pattern(1000));
      await rig.waiting(accepted.stream, 1000);
      client.reset();
      await rig.until(() => rig.peek(accepted.stream, 1000, 1460, 1).result === FAILED, 'the error');
      const { bytes, ending } = await rig.read(accepted.stream);
      assertSameBytes(bytes, pattern(1000));
      assert.equal(ending, 'ECONNRESET');
      accepted.stream.abort();
      listening.listener.close();
    },
  },
  {
    name: 'an accepted stream that is aborted, and a client that nobody takes, are reset',
    async run(rig) {
      const listening = await rig.listenAt(LOOPBACK4);
      const { client, accepted } = await rig.connectTo(listening, listening.place);
      accepted.stream.abort();
      await rig.until(() => client.error !== undefined, 'the reset');
      assert.equal(client.error, 'ECONNRESET');
      listening.refusing = true;
      const other = rig.peers.connect(listening.place);
      await rig.until(() => other.error !== undefined, 'the other reset');
      assert.equal(other.error, 'ECONNRESET');
      listening.listener.close();
    },
  },
  {
    name: 'a paused listener refuses its clients (ECONNREFUSED), from the start and later',
    needs: ['refusal'],
    async run(rig) {
      const listening = await rig.listen([{ address: LOOPBACK4, index: 0 }]);
      const place = listening.places[0]!;
      for (let round = 0; round < 2; round++) {
        const refused = rig.peers.connect(place);
        await rig.until(() => refused.error !== undefined, 'the refusal');
        assert.equal(refused.error, 'ECONNREFUSED');
        listening.listener.resume();
        const { accepted } = await rig.connectTo(listening, place);
        accepted.stream.abort();
        listening.listener.pause();
      }
      listening.listener.close();
    },
  },
  {
    name: 'a paused listener takes nobody, whatever the engine does with him; resumed it takes the next',
    async run(rig) {
      const listening = await rig.listenAt(LOOPBACK4);
      const living = await rig.connectTo(listening, listening.place);
      for (let round = 0; round < 3; round++) {
        listening.listener.pause();
        listening.listener.pause();
        const before = listening.accepted.length;
        const turnedAway = rig.peers.connect(listening.place);
        await rig.until(() => turnedAway.error !== undefined, 'the client to be turned away');
        assert.equal(listening.accepted.length, before);
        assert.equal(listening.listener.resume(), undefined);
        assert.equal(listening.listener.resume(), undefined);
        (await rig.connectTo(listening, listening.place)).accepted.stream.abort();
      }
      // All the while the first one lives.
      living.client.send(pattern(100));
      assertSameBytes((await rig.read(living.accepted.stream, 100)).bytes, pattern(100));
      living.accepted.stream.abort();
      listening.listener.close();
    },
  },
  {
    name: 'a closed listener refuses, its streams stay, and its port can be bound again',
    async run(rig) {
      const listening = await rig.listenAt(LOOPBACK4);
      const { client, accepted } = await rig.connectTo(listening, listening.place);
      listening.listener.close();
      listening.listener.close();
      await rig.settle();
      const refused = rig.peers.connect(listening.place);
      await rig.until(() => refused.error !== undefined, 'the refusal');
      assert.equal(refused.error, 'ECONNREFUSED');
      client.send(pattern(10));
      assertSameBytes((await rig.read(accepted.stream, 10)).bytes, pattern(10));
      accepted.stream.abort();
    },
  },
  {
    name: 'a row of listeners tells at which one the client came in',
    async run(rig) {
      const wanted = [0, 1, 2, 1].map((index, i) => ({ address: i === 3 ? LOOPBACK6 : LOOPBACK4, index }));
      const listening = await rig.listen(wanted);
      assert.equal(listening.listener.resume(), undefined);
      await rig.settle();
      for (const [i, { index, address }] of wanted.entries()) {
        const { accepted } = await rig.connectTo(listening, listening.places[i]!);
        assert.equal(accepted.index, index);
        assert.equal(accepted.address, address);
        accepted.stream.abort();
      }
      listening.listener.close();
    },
  },
  {
    name: 'two hundred clients at once are all accepted and served',
    async run(rig) {
      const listening = await rig.listenAt(LOOPBACK4);
      const clients = Array.from({ length: 200 }, () => rig.peers.connect(listening.place));
      await rig.until(() => listening.accepted.length === clients.length, 'all to be accepted');
      for (const { stream } of listening.accepted) {
        assert.equal(rig.write(stream, pattern(100)), 100);
        stream.shutdownWrite();
      }
      await rig.until(() => clients.every((client) => client.ended), 'all to be served');
      for (const client of clients) assertSameBytes(client.received(), pattern(100));
      assert.deepEqual(
        clients.map(({ error }) => error).filter((error) => error !== undefined),
        [],
      );
      for (const { stream } of listening.accepted) stream.abort();
      listening.listener.close();
    },
  },
  {
    name: 'a unix socket’s clients are served as TCP’s; they have no address',
    async run(rig) {
      const listening = await rig.listen(rig.paths.path('forward'));
      assert.equal(listening.listener.resume(), undefined);
      await rig.settle();
      const { client, accepted } = await rig.connectTo(listening, listening.places[0]!);
      assert.deepEqual({ address: accepted.address, port: accepted.port }, { address: -1, port: 0 });
      assert.deepEqual([...accepted.clientBytes, ...accepted.localBytes], new Array(32).fill(0));
      await exchange(rig, accepted.stream, client);
      listening.listener.pause();
      const turnedAway = rig.peers.connect(listening.places[0]!);
      await rig.until(() => turnedAway.ended || turnedAway.error !== undefined, 'the client to be turned away');
      assert.equal(listening.accepted.length, 1);
      assert.equal(listening.listener.resume(), undefined);
      (await rig.connectTo(listening, listening.places[0]!)).accepted.stream.abort();
      listening.listener.close();
    },
  },
  {
    name: 'one end of a connected pair becomes a stream',
    async run(rig) {
      const { fd, peer } = await rig.harness.pair();
      const calls: string[] = [];
      const stream = rig.harness.host.adoptStream(fd, {
        connected: () => void calls.push('connected'),
        failed: () => void calls.push('failed'),
        readable: () => void calls.push('readable'),
        writable: () => {},
      });
      assert.ok(typeof stream !== 'string', `not adopted: ${stream as string}`);
      await exchange(rig, stream, peer);
      assert.ok(calls.length > 0 && calls.every((call) => call === 'readable'));
    },
  },
];

/** Bytes and an end both ways. */
async function exchange(
  rig: Parameters<HostCase['run']>[0],
  stream: Parameters<typeof rig.read>[0],
  peer: PeerConnection,
): Promise<void> {
  peer.send(pattern(300_000));
  peer.end();
  const { bytes, ending } = await rig.read(stream);
  assertSameBytes(bytes, pattern(300_000));
  assert.equal(ending, 'FIN');
  await rig.writeAll(stream, pattern(300_000, 2));
  stream.shutdownWrite();
  await rig.until(() => peer.ended, 'the end to arrive');
  assertSameBytes(peer.received(), pattern(300_000, 2));
  stream.close();
}
