import { strict as assert } from 'node:assert';
import { LOOPBACK4, LOOPBACK6 } from '../../../src/env/host.ts';
import type { UnreachableAddresses } from './harness.ts';
import type { HostCase } from './host-case.ts';
import { assertSameBytes, type Dialled, pattern, type Rig } from './rig.ts';

export const dialling: readonly HostCase[] = [
  {
    name: 'a dial that succeeds calls connected once, before anything is readable',
    async run(rig) {
      const server = await rig.peers.listenTcp({ greeting: pattern(5) });
      const { stream, events } = await rig.dial(server);
      await rig.waiting(stream, 5);
      await rig.settle();
      assert.equal(events.calls[0], 'connected');
      assert.equal(events.count('connected'), 1);
      assert.ok(events.count('readable') > 0);
      assert.equal(events.count('failed'), 0);
      assert.equal(stream.error, undefined);
      stream.abort();
    },
  },
  {
    name: 'a dial to a port at which nobody listens fails with ECONNREFUSED, and nothing else is called',
    async run(rig) {
      assert.equal(await rig.dialFailure(LOOPBACK4, await rig.peers.unusedPort('tcp')), 'ECONNREFUSED');
    },
  },
  {
    name: 'a dial to LOOPBACK6 reaches a server that listens on [::1] only',
    async run(rig) {
      const server = await rig.peers.listenTcp({ address: LOOPBACK6, greeting: pattern(3) });
      const { stream } = await rig.dial(server);
      assertSameBytes((await rig.read(stream, 3)).bytes, pattern(3));
      stream.abort();
    },
  },
  {
    name: 'a dial that is aborted before it connected calls nothing, ever',
    async run(rig) {
      const server = await rig.peers.listenTcp({ greeting: pattern(5) });
      const { stream, events } = rig.startDial(server);
      stream.abort();
      stream.abort();
      await rig.settle();
      assert.deepEqual(events.calls, []);
    },
  },
  {
    name: 'a dial into a black hole stays pending, and ends by abort without a call',
    needs: ['unreachable addresses'],
    async run(rig) {
      const { stream, events } = rig.startDial({ address: unreachable(rig).blackHole, port: 80 });
      await rig.settle();
      assert.deepEqual(events.calls, []);
      stream.abort();
      await rig.settle();
      assert.deepEqual(events.calls, []);
    },
  },
  {
    name: 'a dial to an unreachable host, an unreachable network and a prohibited one fails with their codes',
    needs: ['unreachable addresses'],
    async run(rig) {
      const addresses = unreachable(rig);
      assert.equal(await rig.dialFailure(addresses.hostUnreachable, 80), 'EHOSTUNREACH');
      assert.equal(await rig.dialFailure(addresses.networkUnreachable, 80), 'ENETUNREACH');
      assert.equal(await rig.dialFailure(addresses.prohibited, 80), 'EACCES');
    },
  },
  {
    name: 'a dial whose time to live ends on the way fails by the word of the router where it ended',
    needs: ['icmpErrors', 'ttl', 'a router'],
    async run(rig) {
      const { behindRouter, router } = unreachable(rig);
      const { events } = rig.startDial({ address: behindRouter as number, port: 80 }, 1);
      await rig.until(() => events.calls.length > 0, 'the dial to fail');
      assert.deepEqual(events.calls, ['failed']);
      const { icmpType, icmpCode, offender } = events.cause ?? assert.fail('no cause');
      assert.deepEqual([events.failure, icmpType, icmpCode, offender], ['EHOSTUNREACH', 11, 0, router]);
    },
  },
  {
    name: '200 streams at once keep their bytes apart',
    async run(rig) {
      const server = await rig.peers.listenTcp();
      const dials = Array.from({ length: 200 }, () => rig.startDial(server));
      await rig.until(() => dials.every(({ events }) => events.isConnected), 'all to connect');
      for (const [i, { stream }] of dials.entries()) await rig.writeAll(stream, Uint8Array.of(i));
      await rig.until(
        () => server.connections.length === 200 && server.connections.every((peer) => peer.receivedBytes === 1),
        'all bytes to arrive',
      );
      for (const peer of server.connections) {
        peer.send(pattern(1000, peer.received()[0]));
        peer.end();
      }
      for (const [i, { stream }] of dials.entries()) {
        const { bytes, ending } = await rig.read(stream);
        assertSameBytes(bytes, pattern(1000, i), `stream ${i}`);
        assert.equal(ending, 'FIN');
        stream.shutdownWrite();
        stream.close();
      }
    },
  },
  {
    name: 'after abort no handler is called, whatever the peer does',
    async run(rig) {
      await quietAfter(rig, await rig.dial(await rig.peers.listenTcp()), (stream) => stream.abort());
    },
  },
  {
    name: 'after close no handler is called, whatever the peer does',
    async run(rig) {
      await quietAfter(rig, await rig.dial(await rig.peers.listenTcp()), (stream) => stream.close());
    },
  },
];

async function quietAfter(rig: Rig, dialled: Dialled, release: (stream: Dialled['stream']) => void): Promise<void> {
  const { stream, events, peer } = dialled;
  await rig.settle();
  const before = events.calls.length;
  release(stream);
  peer.send(pattern(1000));
  await rig.settle();
  peer.reset();
  await rig.settle();
  assert.deepEqual(events.calls.slice(before), []);
  stream.abort();
}

function unreachable(rig: Rig): UnreachableAddresses {
  return rig.peers.unreachable ?? assert.fail('this case needs unreachable addresses');
}
