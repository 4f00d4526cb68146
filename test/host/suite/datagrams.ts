import { strict as assert } from 'node:assert';
import { LOOPBACK4, LOOPBACK6 } from '../../../src/env/host.ts';
import type { PeerAddress, UnreachableAddresses } from './harness.ts';
import type { HostCase } from './host-case.ts';
import { assertSameBytes, DatagramEvents, pattern, type Rig, type Sent } from './rig.ts';

export const datagrams: readonly HostCase[] = [
  {
    name: 'datagrams of 1, 1472, 8000 and 65507 bytes are echoed whole, from where they went',
    async run(rig) {
      const echo = await rig.peers.openUdp({ echo: true });
      const { socket } = rig.openDatagram();
      for (const length of [1, 1472, 8000, 65_507]) {
        assert.equal(rig.sendBatch(socket, [{ bytes: pattern(length), to: echo }]), 0);
        const [reply] = await rig.receive(socket, 1);
        assertSameBytes(reply?.bytes as Uint8Array, pattern(length));
        assert.equal(reply?.address, echo.address);
        assert.equal(reply?.port, echo.port);
      }
      socket.close();
    },
  },
  {
    name: 'an empty datagram is a datagram',
    async run(rig) {
      const echo = await rig.peers.openUdp({ echo: true });
      const { socket } = rig.openDatagram();
      rig.sendBatch(socket, [{ bytes: pattern(0), to: echo }]);
      const [reply] = await rig.receive(socket, 1);
      assert.equal(reply?.bytes.length, 0);
      socket.close();
    },
  },
  {
    name: 'a batch of 64 arrives whole and in order',
    async run(rig) {
      const peer = await rig.peers.openUdp();
      const { socket } = rig.openDatagram();
      const batch = Array.from({ length: 64 }, (_, i) => ({ bytes: pattern(100 + i, i), to: peer }));
      assert.equal(rig.sendBatch(socket, batch), 0);
      await rig.until(() => peer.received.length === 64, 'all 64');
      for (const [i, { bytes }] of peer.received.entries()) assertSameBytes(bytes, pattern(100 + i, i), `number ${i}`);
      socket.close();
    },
  },
  {
    name: 'receive takes no more than it is asked for; the rest waits, in order',
    async run(rig) {
      const peer = await rig.peers.openUdp();
      const { socket, events } = rig.openDatagram();
      assert.deepEqual(rig.receiveBatch(socket), []);
      rig.sendBatch(socket, [{ bytes: pattern(1), to: peer }]);
      await rig.until(() => peer.received.length === 1, 'the first');
      const to = peer.received[0]?.from as { address: number; port: number };
      for (let i = 0; i < 5; i++) peer.send(Uint8Array.of(i), to);
      await rig.until(() => events.readableCalls > 0, 'readable');
      const order: (number | undefined)[] = [];
      await rig.until(() => {
        const received = rig.receiveBatch(socket, 2);
        assert.ok(received.length <= 2);
        order.push(...received.map(({ bytes }) => bytes[0]));
        return order.length === 5;
      }, 'all five');
      assert.deepEqual(order, [0, 1, 2, 3, 4]);
      assert.deepEqual(rig.receiveBatch(socket), []);
      socket.close();
    },
  },
  {
    name: 'readable is called again after receive found nothing',
    async run(rig) {
      const echo = await rig.peers.openUdp({ echo: true });
      const { socket, events } = rig.openDatagram();
      for (let i = 0; i < 3; i++) {
        assert.deepEqual(rig.receiveBatch(socket), []);
        const before = events.readableCalls;
        rig.sendBatch(socket, [{ bytes: pattern(4, i), to: echo }]);
        await rig.until(() => events.readableCalls > before, 'readable');
        await rig.receive(socket, 1);
      }
      socket.close();
    },
  },
  {
    name: 'one socket reaches two remotes in one batch, and each reply names its own',
    async run(rig) {
      const [a, b] = [await rig.peers.openUdp({ echo: true }), await rig.peers.openUdp({ echo: true })];
      const { socket } = rig.openDatagram();
      rig.sendBatch(socket, [
        { bytes: pattern(10, 1), to: a },
        { bytes: pattern(20, 2), to: b },
      ]);
      const replies = await rig.receive(socket, 2);
      assert.equal(replies.find(({ bytes }) => bytes.length === 10)?.port, a.port);
      assert.equal(replies.find(({ bytes }) => bytes.length === 20)?.port, b.port);
      socket.close();
    },
  },
  {
    name: 'a socket has one port for all remotes, and a third party that learns it gets through',
    async run(rig) {
      const [a, b, stranger] = [await rig.peers.openUdp(), await rig.peers.openUdp(), await rig.peers.openUdp()];
      const { socket } = rig.openDatagram();
      rig.sendBatch(socket, [
        { bytes: pattern(1), to: a },
        { bytes: pattern(1), to: b },
      ]);
      await rig.until(() => a.received.length + b.received.length === 2, 'both');
      const port = a.received[0]?.from.port as number;
      assert.equal(b.received[0]?.from.port, port);
      stranger.send(pattern(7), { address: LOOPBACK4, port });
      const [received] = await rig.receive(socket, 1);
      assert.equal(received?.port, stranger.port);
      assert.equal(received?.address, stranger.address);
      socket.close();
    },
  },
  {
    name: 'datagrams to LOOPBACK6 reach [::1], and the reply names it',
    async run(rig) {
      const echo = await rig.peers.openUdp({ address: LOOPBACK6, echo: true });
      const { socket } = rig.openDatagram();
      rig.sendBatch(socket, [{ bytes: pattern(33), to: echo }]);
      const [reply] = await rig.receive(socket, 1);
      assertSameBytes(reply?.bytes as Uint8Array, pattern(33));
      assert.equal(reply?.address, LOOPBACK6);
      assert.equal(reply?.port, echo.port);
      socket.close();
    },
  },
  {
    name: 'an error of one peer never costs another a datagram',
    async run(rig) {
      const peer = await rig.peers.openUdp();
      const dead = { address: LOOPBACK4, port: await rig.peers.unusedPort('udp') };
      const { socket } = rig.openDatagram();
      for (let round = 0; round < 20; round++) {
        const batch = [0, 1, 2, 3].flatMap((i) => [
          { bytes: pattern(10), to: dead },
          { bytes: Uint8Array.of(round * 4 + i), to: peer },
        ]);
        assert.equal(rig.sendBatch(socket, batch), 0);
        await rig.harness.poll();
      }
      await rig.until(() => peer.received.length === 80, 'all 80');
      assert.deepEqual(
        peer.received.map(({ bytes }) => bytes[0]),
        Array.from({ length: 80 }, (_, i) => i),
      );
      socket.close();
    },
  },
  {
    name: 'a datagram of 65508 bytes fails with EMSGSIZE, and its neighbours in the batch arrive',
    async run(rig) {
      const peer = await rig.peers.openUdp();
      const { socket, events } = rig.openDatagram();
      rig.sendBatch(socket, [
        { bytes: pattern(1), to: peer },
        { bytes: pattern(65_508), to: peer },
        { bytes: pattern(2), to: peer },
      ]);
      await rig.until(
        () => peer.received.length === 2 && events.failures.length === 1,
        'two datagrams and the failure',
      );
      assert.equal(events.failures[0]?.code, 'EMSGSIZE');
      assert.equal(events.failures[0]?.port, peer.port);
      assert.equal(events.failures[0]?.address, LOOPBACK4);
      socket.close();
    },
  },
  {
    name: 'a port at which nobody listens is reported as ICMP port unreachable',
    needs: ['icmpErrors'],
    async run(rig) {
      const dead = { address: LOOPBACK4, port: await rig.peers.unusedPort('udp') };
      const { socket, events } = rig.openDatagram();
      rig.sendBatch(socket, [{ bytes: pattern(10), to: dead }]);
      await rig.until(() => events.failures.length > 0, 'the failure');
      const [failure] = events.failures;
      assert.equal(failure?.code, 'ECONNREFUSED');
      assert.deepEqual([failure?.icmpType, failure?.icmpCode], [3, 3]);
      assert.deepEqual([failure?.address, failure?.port], [dead.address, dead.port]);
      assert.equal(failure?.offender, LOOPBACK4);
      socket.close();
    },
  },
  {
    name: 'a datagram whose time to live ends on the way is reported with the router that said so',
    needs: ['icmpErrors', 'ttl', 'a router'],
    async run(rig) {
      const to = { address: rig.peers.unreachable?.behindRouter as number, port: 33_434 };
      const { socket, events } = rig.openDatagram();
      rig.sendBatch(socket, [{ bytes: pattern(32), to, ttl: 1 }]);
      await rig.until(() => events.failures.length > 0, 'time exceeded');
      const [failure] = events.failures;
      assert.deepEqual([failure?.icmpType, failure?.icmpCode], [11, 0]);
      assert.equal(failure?.offender, rig.peers.unreachable?.router);
      assert.deepEqual([failure?.address, failure?.port], [to.address, to.port]);
      socket.close();
    },
  },
  {
    name: 'a datagram that must not be fragmented and is too long for the path is reported with the MTU',
    needs: ['icmpErrors', 'ttl', 'a router'],
    async run(rig) {
      const to = { address: rig.peers.unreachable?.behindRouter as number, port: 33_434 };
      const { socket, events } = rig.openDatagram();
      rig.sendBatch(socket, [{ bytes: pattern(1400), to, dontFragment: true }]);
      await rig.until(() => events.failures.length > 0, 'fragmentation needed');
      const [failure] = events.failures;
      assert.equal(failure?.code, 'EMSGSIZE');
      assert.deepEqual([failure?.icmpType, failure?.icmpCode], [3, 4]);
      assert.equal(failure?.mtu, rig.peers.unreachable?.routerMtu);
      assert.equal(failure?.offender, rig.peers.unreachable?.router);
      socket.close();
    },
  },
  {
    name: 'a datagram longer than the host’s own MTU arrives whole and in order, Don’t Fragment or not, in a batch or alone',
    needs: ['a router'],
    async run(rig) {
      const { address, sizes, batch } = longerThanTheWay(rig);
      const peer = await rig.peers.openUdp({ address });
      const { socket } = rig.openDatagram();
      for (const [i, length] of sizes.entries()) {
        assert.equal(rig.sendBatch(socket, [{ bytes: pattern(length, i), to: peer, dontFragment: true }]), 0);
        await rig.until(() => peer.received.length === i + 1, `${length} bytes`);
      }
      assert.equal(rig.sendBatch(socket, batch(peer)), 0);
      await rig.until(() => peer.received.length === sizes.length + batch(peer).length, 'the batch');
      const got = peer.received.map(({ bytes }) => bytes);
      for (const [i, length] of sizes.entries()) assertSameBytes(got[i] as Uint8Array, pattern(length, i));
      for (const [i, { bytes }] of batch(peer).entries()) assertSameBytes(got[sizes.length + i] as Uint8Array, bytes);
      socket.close();
    },
  },
  {
    name: 'a datagram that arrived in fragments in spite of Don’t Fragment is reported with the host’s own MTU, once a batch',
    needs: ['icmpErrors', 'ttl', 'a router'],
    async run(rig) {
      const { address, batch, mtu } = longerThanTheWay(rig);
      const peer = await rig.peers.openUdp({ address });
      const other = await rig.peers.openUdp({ address });
      const { socket, events } = rig.openDatagram();
      rig.sendBatch(socket, [{ bytes: pattern(2000), to: peer, dontFragment: true }]);
      await rig.until(() => events.failures.length === 1, 'the failure');
      const { code, offender, mtu: told, port, length } = events.failures[0]!;
      assert.deepEqual([code, offender, told, port, length], ['EMSGSIZE', 0, mtu, peer.port, 2000]);
      rig.sendBatch(socket, [{ bytes: pattern(2000), to: other, dontFragment: false }]);
      await rig.until(() => other.received.length === 1, 'the one that may be cut');
      assert.equal(events.failures.length, 1);
      rig.sendBatch(socket, batch(peer));
      await rig.until(() => peer.received.length === 1 + batch(peer).length, 'the batch');
      assert.ok(events.failures.length > 1 && events.failures.length <= batch(peer).length);
      socket.close();
    },
  },
  {
    name: 'an echo request longer than the host’s own MTU is answered, and reported with the MTU',
    needs: ['ping', 'icmpErrors', 'a router'],
    async run(rig) {
      const { address, mtu } = longerThanTheWay(rig);
      const events = new DatagramEvents();
      const socket = rig.harness.host.openEcho(events);
      assert.ok(typeof socket !== 'string', `no echo socket: ${socket as string}`);
      for (const [i, length] of [mtu - 28, mtu - 27, 8_000, 65_507].entries()) {
        const bytes = echoRequest(0x1234, i, pattern(length));
        rig.sendBatch(socket, [{ bytes, to: { address, port: 0 }, dontFragment: true }]);
        const [reply] = await rig.receive(socket, 1);
        assertSameBytes(reply?.bytes.subarray(8) as Uint8Array, pattern(length));
        assert.equal(events.failures.length, i, `${length} bytes`);
      }
      assert.deepEqual([events.failures[0]?.code, events.failures[0]?.mtu], ['EMSGSIZE', mtu]);
      socket.close();
    },
  },
  {
    name: 'an echo request is answered, with its sequence number and payload',
    needs: ['ping'],
    async run(rig) {
      const events = new DatagramEvents();
      const socket = rig.harness.host.openEcho(events);
      assert.ok(typeof socket !== 'string', `no echo socket: ${socket as string}`);
      const request = echoRequest(0x1234, 7, pattern(56));
      rig.sendBatch(socket, [{ bytes: request, to: { address: rig.peers.echoAddress, port: 0 } }]);
      const [reply] = await rig.receive(socket, 1);
      assert.equal(reply?.address, rig.peers.echoAddress);
      assert.equal(reply?.port, 0);
      assert.equal(reply?.bytes[0], 0, 'type: echo reply');
      assert.deepEqual([reply?.bytes[6], reply?.bytes[7]], [0, 7]);
      assertSameBytes(reply?.bytes.subarray(8) as Uint8Array, pattern(56));
      socket.close();
    },
  },
  {
    name: 'after close no handler is called',
    async run(rig) {
      const peer = await rig.peers.openUdp();
      const { socket, events } = rig.openDatagram();
      rig.sendBatch(socket, [{ bytes: pattern(1), to: peer }]);
      await rig.until(() => peer.received.length === 1, 'the datagram');
      socket.close();
      peer.send(pattern(1), peer.received[0]?.from as { address: number; port: number });
      await rig.settle();
      assert.equal(events.readableCalls, 0);
      assert.deepEqual(events.failures, []);
    },
  },
];

/** An address that the host's own MTU is too small for, sizes around and above it, and a batch that mixes them. */
function longerThanTheWay(rig: Rig): {
  address: number;
  mtu: number;
  sizes: readonly number[];
  batch(to: PeerAddress): Sent[];
} {
  const { narrow: address, narrowMtu: mtu } = rig.peers.unreachable as UnreachableAddresses;
  const sizes = [mtu - 28, mtu - 27, 2_000, 8_000, 65_507];
  const mixed = [10, mtu - 28, 2_000, 2_000, 2_000, 2_000, 9_000, 1, 8_000, 10, 10, 10, 10, 10, 3_000];
  const batch = (to: PeerAddress): Sent[] =>
    mixed.map((length, i) => ({ bytes: pattern(length, i), to, dontFragment: true }));
  return { address, mtu, sizes, batch };
}

/** An ICMP echo request with its checksum (RFC 792). */
function echoRequest(identifier: number, sequence: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + payload.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = 8;
  view.setUint16(4, identifier);
  view.setUint16(6, sequence);
  bytes.set(payload, 8);
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at]! << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(2, ~sum & 0xffff);
  return bytes;
}
