import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Host } from '../../src/env/host.ts';
import type { MemoryHost } from '../../src/host/memory/memory-host.ts';
import type { Neighbor } from '../../src/ip/neighbor.ts';
import { GUEST, hostOf, REMOTE, udpBench } from './udp-bench.ts';

type Bench = ReturnType<typeof udpBench>;

const SILENT = REMOTE + 1;
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);
const portsOf = ({ udp }: Bench, address = GUEST): number[] =>
  udp
    .list()
    .filter(({ guestAddress }) => guestAddress === address)
    .map(({ guestPort }) => guestPort);

/** REMOTE answers at the ports 9 and 53; SILENT swallows. */
function answeringBench(options: Parameters<typeof udpBench>[0] = {}): Bench {
  const t = udpBench(options);
  for (const port of [9, 53]) t.memory.listenUdp(REMOTE, port, ({ reply }) => reply(bytes('answer')));
  t.memory.blackHole(SILENT);
  return t;
}

/** A host that has `most` descriptors for datagram sockets. */
function fewSockets(most: number): { wrapHost: (memory: MemoryHost) => Host } {
  let open = 0;
  const wrapHost = (memory: MemoryHost): Host => ({
    ...hostOf(memory),
    openDatagram: (handler) => {
      if (open === most) return 'EMFILE';
      const socket = memory.openDatagram(handler);
      if (typeof socket === 'string') return socket;
      open++;
      return {
        send: (batch) => socket.send(batch),
        receive: (...rest) => socket.receive(...rest),
        close: () => {
          open--;
          socket.close();
        },
      };
    },
  });
  return { wrapHost };
}

describe('a UDP mapping', () => {
  it('lives two minutes after the last datagram, answered or not (RFC 4787 REQ-5)', () => {
    const t = answeringBench();
    t.send(5000, SILENT, 9, 'unanswered');
    t.send(5001, REMOTE, 9, 'answered');
    t.settle();
    t.settle(119_000);
    assert.deepEqual(portsOf(t), [5000, 5001]);
    t.send(5001, REMOTE, 9, 'again');
    t.settle();
    t.settle(2_000);
    assert.deepEqual(portsOf(t), [5001]);
    t.settle(121_000);
    assert.deepEqual(portsOf(t), []);
  });

  it('of a new port that asked DNS once goes 5 s after the answer; without one, or with a second question, it stays', () => {
    const t = answeringBench();
    t.send(5000, REMOTE, 53, 'a question');
    t.send(5001, SILENT, 53, 'a question that nobody answers');
    t.send(5002, REMOTE, 53, 'a question');
    t.settle();
    t.send(5002, REMOTE, 53, 'another question of the same port');
    t.settle();
    t.settle(4_900);
    assert.deepEqual(portsOf(t), [5000, 5001, 5002]);
    t.settle(200);
    assert.deepEqual(portsOf(t), [5001, 5002]);
    t.settle(110_000);
    assert.deepEqual(portsOf(t), [5001, 5002]);
    t.settle(10_000);
    assert.deepEqual(portsOf(t), []);
  });

  it('that was answered outlives 1,100 queries from fresh ports, of its own guest and of another', () => {
    const limits = { mappings: 4_096, mappingsPerGuest: 1_024 };
    for (const [remote, port] of [
      [SILENT, 9],
      [REMOTE, 53],
      [SILENT, 53],
    ] as const) {
      const t = answeringBench({ limits });
      const other = t.addGuest(GUEST + 1, 0x020000000004);
      t.send(4000, REMOTE, 9, 'x');
      t.send(4000, REMOTE, 9, 'x', { guest: other });
      t.settle();
      for (let i = 0; i < 1_100; i++) {
        t.send(5_000 + i, remote, port, 'x');
        if (i % 50 === 0) t.settle();
      }
      t.settle();
      assert.ok(portsOf(t).includes(4000));
      assert.deepEqual(portsOf(t, GUEST + 1), [4000]);
      assert.equal(t.counters.get('udp-evicted-guest-limit'), 1_101 - 1_024);
    }
  });

  it('in conversation outlives as many that were answered once', () => {
    const t = answeringBench({ limits: { mappings: 100, mappingsPerGuest: 40 } });
    for (let i = 0; i < 2; i++) {
      t.send(4000, REMOTE, 9, 'x');
      t.settle();
    }
    for (let i = 0; i < 100; i++) {
      t.send(5000 + i, REMOTE, 9, 'x');
      t.settle();
    }
    assert.ok(portsOf(t).includes(4000));
    assert.ok(portsOf(t).includes(5099));
  });

  it('is made also where a guest has conversations only: the one not used for longest goes', () => {
    const t = answeringBench({ limits: { mappings: 100, mappingsPerGuest: 8 } });
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 8; i++) t.send(4000 + i, REMOTE, 9, 'x');
      t.settle();
    }
    for (const port of [5000, 5001]) t.send(port, SILENT, 9, 'x');
    assert.deepEqual(portsOf(t), [4002, 4003, 4004, 4005, 4006, 4007, 5000, 5001]);
  });

  it('of the guest that has most goes when the table is full', () => {
    const t = answeringBench({ limits: { mappings: 20, mappingsPerGuest: 20 } });
    const others = [1, 2].map((i) => t.addGuest(GUEST + i, 0x020000000010 + i));
    for (const guest of others) t.send(4000, SILENT, 9, 'x', { guest });
    for (let i = 0; i < 100; i++) t.send(5000 + i, SILENT, 9, 'x');
    for (const guest of others) t.send(4001, SILENT, 9, 'x', { guest });
    for (const { address } of others) assert.deepEqual(portsOf(t, address), [4000, 4001]);
    assert.equal(portsOf(t).length, 16);
    assert.equal(t.counters.get('udp-evicted-table-limit'), 84);
  });

  it('makes room within the turn when the host is out of descriptors, and what it had gathered still leaves', () => {
    const t = answeringBench(fewSockets(2));
    let got = 0;
    t.memory.listenUdp(REMOTE, 10, () => got++);
    for (const port of [1, 2, 3]) t.send(port, REMOTE, 10, 'x');
    t.settle();
    assert.equal(t.counters.get('udp-evicted-descriptors'), 1);
    assert.equal(got, 3);
  });

  it('that was answered is not the price of another guest’s, however short the host is of descriptors', () => {
    const t = answeringBench(fewSockets(1));
    t.send(4000, REMOTE, 9, 'x');
    t.settle();
    t.send(4000, REMOTE, 9, 'x', { guest: t.addGuest(GUEST + 1, 0x020000000004) });
    assert.deepEqual(portsOf(t), [4000]);
    assert.equal(t.counters.get('udp-no-socket'), 1);
  });
});

describe('the UDP mappings of a guest that is gone', () => {
  function leave(neighbor: Neighbor): void {
    neighbor.port = { ...neighbor.port, attached: false } as typeof neighbor.port;
  }

  it('are there when it returns, and in its new share; what came meanwhile is lost', () => {
    const t = answeringBench({ limits: { mappings: 10, mappingsPerGuest: 2 } });
    const { port } = t.neighbor;
    const hostPorts: number[] = [];
    const server = t.memory.listenUdp(REMOTE, 10, ({ from }) => hostPorts.push(from.port));
    t.send(5000, REMOTE, 10, 'x');
    t.settle();
    leave(t.neighbor);
    server.send(bytes('lost'), hostPorts[0]!);
    t.settle(60_000);
    assert.equal(t.counters.get('udp-guest-gone'), 1);
    t.neighbor.port = { ...port } as typeof port;
    t.send(5000, REMOTE, 10, 'y');
    t.settle();
    server.send(bytes('heard'), hostPorts[1]!);
    t.settle();
    assert.equal(hostPorts[0], hostPorts[1]);
    assert.deepEqual(
      t.delivered.map(({ text }) => text),
      ['heard'],
    );
    for (const other of [5001, 5002]) t.send(other, SILENT, 9, 'x');
    assert.equal(t.counters.get('udp-evicted-guest-limit'), 1);
  });

  it('are gone two minutes later, whatever the outside sends', () => {
    const t = answeringBench();
    let hostPort = 0;
    const server = t.memory.listenUdp(REMOTE, 10, ({ from }) => {
      hostPort = from.port;
    });
    t.send(5000, REMOTE, 10, 'x');
    t.settle();
    leave(t.neighbor);
    for (let i = 0; i < 13; i++) {
      server.send(bytes('x'), hostPort);
      t.settle(10_000);
    }
    assert.deepEqual(portsOf(t), []);
  });

  it('make room first', () => {
    const t = answeringBench({ limits: { mappings: 3, mappingsPerGuest: 3 } });
    const other = t.addGuest(GUEST + 1, 0x020000000004);
    t.send(5000, REMOTE, 9, 'x');
    for (const port of [1, 2]) t.send(port, SILENT, 9, 'x', { guest: other });
    t.settle();
    (t.neighbor.port as { attached: boolean }).attached = false;
    t.send(3, SILENT, 9, 'x', { guest: other });
    assert.deepEqual(portsOf(t), []);
    assert.deepEqual(portsOf(t, GUEST + 1), [1, 2, 3]);
  });

  it('are not another’s who takes up its address', () => {
    const t = answeringBench();
    const ports: number[] = [];
    t.memory.listenUdp(REMOTE, 10, ({ from }) => ports.push(from.port));
    t.send(5000, REMOTE, 10, 'x');
    t.settle();
    leave(t.neighbor);
    t.send(5000, REMOTE, 10, 'x', { guest: t.addGuest(GUEST, 0x020000000004) });
    t.settle();
    assert.notEqual(ports[0], ports[1]);
  });
});
