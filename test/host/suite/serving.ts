import { strict as assert } from 'node:assert';
import { LOOPBACK4, LOOPBACK6 } from '../../../src/env/host.ts';
import type { HostCase } from './host-case.ts';
import { assertSameBytes, pattern } from './rig.ts';

export const serving: readonly HostCase[] = [
  {
    name: 'a UDP client’s datagrams come with its address and a handle, and the answer comes from the port it asked',
    async run(rig) {
      for (const address of [LOOPBACK4, LOOPBACK6]) {
        const { server, places, readable } = await rig.serve([{ address, index: 7 }]);
        const client = await rig.peers.openUdp({ address });
        client.send(pattern(100), places[0]!);
        client.send(new Uint8Array(0), places[0]!);
        const [first, second] = await rig.served(server, 7, 2);
        assertSameBytes(first!.bytes, pattern(100));
        assert.equal(second!.bytes.length, 0);
        assert.deepEqual({ address: first!.address, port: first!.port }, { address, port: client.port });
        assert.ok(first!.client >= 0);
        assert.equal(second!.client, first!.client, 'one client, one handle');
        assert.ok((readable.get(7) ?? 0) > 0);
        assert.equal(rig.answer(server, 7, first!.client, pattern(200, 2)), true);
        await rig.until(() => client.received.length === 1, 'the answer');
        assertSameBytes(client.received[0]!.bytes, pattern(200, 2));
        assert.deepEqual(client.received[0]!.from.port, places[0]!.port);
        server.close();
      }
    },
  },
  {
    name: 'what is for somebody who never asked leaves from the port that is served, but not from one at a loopback address',
    async run(rig) {
      const { server, places } = await rig.serve([
        { address: 0, index: 7 },
        { address: LOOPBACK4, index: 8 },
      ]);
      const remote = await rig.peers.openUdp();
      // The in-memory host knows its peers once they have spoken.
      remote.send(pattern(10), places[0]!);
      await rig.served(server, 7, 1);
      const handle = server.reach(7, LOOPBACK4, remote.port);
      assert.ok(handle >= 0);
      assert.equal(rig.answer(server, 7, handle, pattern(300, 3)), true);
      await rig.until(() => remote.received.length === 1, 'the datagram');
      assertSameBytes(remote.received[0]!.bytes, pattern(300, 3));
      assert.equal(remote.received[0]!.from.port, places[0]!.port);
      assert.equal(server.reach(8, 0xcb00_7109, 9), -1);
      assert.equal(server.reach(9, 0xcb00_7109, 9), -1, 'no such place');
      server.close();
    },
  },
  {
    name: 'clients are told apart, and a row of sockets too',
    async run(rig) {
      const wanted = [0, 1, 1].map((index, i) => ({ address: i === 2 ? LOOPBACK6 : LOOPBACK4, index }));
      const { server, places } = await rig.serve(wanted);
      const clients = [
        await rig.peers.openUdp(),
        await rig.peers.openUdp(),
        await rig.peers.openUdp({ address: LOOPBACK6 }),
      ];
      clients[0]!.send(pattern(10, 1), places[0]!);
      clients[1]!.send(pattern(10, 2), places[0]!);
      clients[0]!.send(pattern(10, 3), places[1]!);
      clients[2]!.send(pattern(10, 4), places[2]!);
      const at0 = await rig.served(server, 0, 2);
      const at1 = await rig.served(server, 1, 2);
      const all = [...at0, ...at1];
      assert.equal(new Set(all.map(({ client }) => client)).size, 4);
      for (const [i, { client }] of all.entries()) assert.ok(rig.answer(server, i < 2 ? 0 : 1, client, all[i]!.bytes));
      await rig.until(() => clients.map(({ received }) => received.length).join() === '2,1,1', 'each its own answers');
      assertSameBytes(clients[1]!.received[0]!.bytes, pattern(10, 2));
      assertSameBytes(clients[2]!.received[0]!.bytes, pattern(10, 4));
      server.close();
    },
  },
  {
    name: 'a client that is gone costs the others nothing',
    async run(rig) {
      const { server, places } = await rig.serve([{ address: LOOPBACK4, index: 0 }]);
      const gone = await rig.peers.openUdp();
      const other = await rig.peers.openUdp();
      gone.send(pattern(10), places[0]!);
      other.send(pattern(10), places[0]!);
      const two = await rig.served(server, 0, 2);
      const goneClient = two.find(({ port }) => port === gone.port)!.client;
      const otherClient = two.find(({ port }) => port === other.port)!.client;
      await gone.close();
      // Each is answered by the kernel with an ICMP error.
      for (let i = 0; i < 20; i++) {
        rig.answer(server, 0, goneClient, pattern(10));
        assert.equal(rig.answer(server, 0, otherClient, pattern(10, i)), true);
        other.send(pattern(20, i), places[0]!);
      }
      const received = await rig.served(server, 0, 20);
      assert.equal(received.length, 20);
      await rig.until(() => other.received.length === 20, 'all answers');
      server.close();
    },
  },
  {
    name: 'a burst of a hundred datagrams arrives in order',
    async run(rig) {
      const { server, places } = await rig.serve([{ address: LOOPBACK4, index: 0 }]);
      const client = await rig.peers.openUdp();
      for (let i = 0; i < 100; i++) client.send(pattern(1000, i), places[0]!);
      const received = await rig.served(server, 0, 100);
      for (const [i, { bytes }] of received.entries()) assertSameBytes(bytes, pattern(1000, i));
      server.close();
    },
  },
  {
    name: 'a handle that nobody has, or of a closed server, sends nothing',
    async run(rig) {
      const { server, places } = await rig.serve([{ address: LOOPBACK4, index: 0 }]);
      assert.equal(rig.answer(server, 0, 12345, pattern(10)), false);
      const client = await rig.peers.openUdp();
      client.send(pattern(10), places[0]!);
      const [first] = await rig.served(server, 0, 1);
      server.close();
      assert.equal(rig.answer(server, 0, first!.client, pattern(10)), false);
      await rig.settle();
      assert.equal(client.received.length, 0);
    },
  },
];
