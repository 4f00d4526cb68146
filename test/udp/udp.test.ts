import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { LOOPBACK4, LOOPBACK6 } from '../../src/env/host.ts';
import { Frame } from '../../src/link/frame.ts';
import { GATEWAY, GUEST, HOST_ADDRESS, hostOf, REMOTE, udpBench } from './udp-bench.ts';

const text = (bytes: Uint8Array): string => new TextDecoder('latin1').decode(bytes);
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);

describe('Udp', () => {
  it('carries a datagram out and its answer back, from the real remote address', () => {
    const t = udpBench();
    t.memory.listenUdp(REMOTE, 9, ({ bytes: got, ttl, dontFragment, reply }) => {
      assert.deepEqual([text(got), ttl, dontFragment], ['hello', 63, true]);
      reply(bytes('answer'));
    });
    t.send(5000, REMOTE, 9, 'hello', { dontFragment: true });
    t.settle();
    const [answer] = t.delivered;
    assert.deepEqual([answer?.source, answer?.sourcePort, answer?.port], [REMOTE, 9, 5000]);
    assert.deepEqual([answer?.text, answer?.checksum], ['answer', 0xffff]);
  });

  it('leaves the checksum to an outlet that computes it', () => {
    const t = udpBench();
    t.outlet.abilities = { ...t.outlet.abilities, checksum: true };
    t.memory.listenUdp(REMOTE, 9, ({ reply }) => reply(bytes('answer')));
    t.send(5000, REMOTE, 9, 'x');
    t.settle();
    assert.equal(t.delivered[0]?.needsChecksum, true);
  });

  it('carries empty datagrams and those of 65,507 bytes', () => {
    const t = udpBench();
    t.memory.listenUdp(REMOTE, 9, ({ bytes: got, reply }) => reply(got));
    for (const length of [0, 1, 1472, 1473, 8000, 65_507]) t.send(5000, REMOTE, 9, new Uint8Array(length).fill(7));
    t.settle();
    assert.deepEqual(
      t.delivered.map(({ length }) => length),
      [0, 1, 1472, 1473, 8000, 65_507],
    );
    assert.ok(t.delivered.every(({ checksum }) => checksum === 0xffff));
  });

  it('keeps one host port whoever the guest speaks to, and another for another guest port', () => {
    const t = udpBench();
    const ports: number[] = [];
    for (const port of [9, 10]) t.memory.listenUdp(REMOTE, port, ({ from }) => ports.push(from.port));
    t.memory.listenUdp(REMOTE + 1, 9, ({ from }) => ports.push(from.port));
    t.send(5000, REMOTE, 9, 'a');
    t.send(5000, REMOTE, 10, 'b');
    t.send(5000, REMOTE + 1, 9, 'c');
    t.send(5001, REMOTE, 9, 'd');
    t.settle();
    assert.equal(new Set(ports.slice(0, 3)).size, 1);
    assert.equal(new Set(ports).size, 2);
    assert.equal(t.udp.list().length, 2);
  });

  it('lets in any port of an address that the guest has sent to, and no other address', () => {
    const t = udpBench();
    let hostPort = 0;
    t.memory.listenUdp(REMOTE, 9, ({ from }) => {
      hostPort = from.port;
    });
    const samePeer = t.memory.listenUdp(REMOTE, 77, () => {});
    const stranger = t.memory.listenUdp(REMOTE + 1, 9, () => {});
    t.send(5000, REMOTE, 9, 'x');
    t.settle();
    samePeer.send(bytes('other port'), hostPort);
    stranger.send(bytes('stranger'), hostPort);
    t.settle();
    assert.deepEqual(
      t.delivered.map((got) => [got.text, got.sourcePort]),
      [['other port', 77]],
    );
    assert.equal(t.counters.get('udp-filtered'), 1);
  });

  it('lets in the answers of all that one guest port asks, be they hundreds', () => {
    const t = udpBench();
    for (let i = 0; i < 500; i++) t.memory.listenUdp(REMOTE + i, 9, ({ reply }) => reply(bytes('answer')));
    for (let i = 0; i < 500; i++) t.send(5000, REMOTE + i, 9, 'x');
    t.settle();
    assert.equal(t.delivered.length, 500);
    assert.equal(t.counters.get('udp-filtered'), 0);
  });

  it('sends what one turn gathered in one batch for each socket, in order', () => {
    const sizes: number[] = [];
    const t = udpBench({
      wrapHost: (memory) => ({
        ...hostOf(memory),
        openDatagram: (handler) => {
          const socket = memory.openDatagram(handler);
          if (typeof socket === 'string') return socket;
          return {
            send: (batch) => {
              sizes.push(batch.count);
              return socket.send(batch);
            },
            receive: (...rest) => socket.receive(...rest),
            close: () => socket.close(),
          };
        },
      }),
    });
    const got: string[] = [];
    t.memory.listenUdp(REMOTE, 9, (arrival) => got.push(text(arrival.bytes)));
    for (let i = 0; i < 100; i++) t.send(5000 + (i % 2), REMOTE, 9, `${i}`);
    t.settle();
    assert.deepEqual(sizes, [50, 50]);
    assert.deepEqual(
      got.filter((value) => Number(value) % 2 === 0),
      Array.from({ length: 50 }, (_, i) => `${i * 2}`),
    );
  });

  it('gathers for more sockets in one turn than there are batches without losing any', () => {
    const t = udpBench();
    let got = 0;
    t.memory.listenUdp(REMOTE, 9, () => got++);
    for (let i = 0; i < 300; i++) t.send(5000 + i, REMOTE, 9, 'x');
    t.settle();
    assert.equal(got, 300);
  });

  it('cuts a super-datagram into those it stands for', () => {
    const t = udpBench();
    const got: string[] = [];
    t.memory.listenUdp(REMOTE, 9, (arrival) => got.push(text(arrival.bytes)));
    const frame: Partial<Frame> = { needsChecksum: true, checksumValid: true, gsoType: 'udp', gsoSize: 4 };
    t.send(5000, REMOTE, 9, 'aaaabbbbcc', { frame });
    t.settle();
    assert.deepEqual(got, ['aaaa', 'bbbb', 'cc']);
    t.send(5000, REMOTE, 9, new Uint8Array(129), { frame: { ...frame, gsoSize: 1 } });
    assert.equal(t.counters.get('udp-too-many-segments'), 1);
  });

  it('drops a wrong checksum, unless the tap says that it was checked', () => {
    const t = udpBench();
    let got = 0;
    t.memory.listenUdp(REMOTE, 9, () => got++);
    t.send(5000, REMOTE, 9, 'x', { badChecksum: true });
    t.send(5000, REMOTE, 9, 'x', { badChecksum: true, frame: { checksumValid: true } });
    t.settle();
    assert.equal(got, 1);
    assert.equal(t.counters.get('udp-bad-checksum'), 1);
  });

  it('reports a refused port in the name of the peer, and loses no other datagram', () => {
    const t = udpBench();
    let got = 0;
    t.memory.listenUdp(REMOTE + 1, 9, () => got++);
    t.send(5000, REMOTE, 9, 'lost');
    t.send(5000, REMOTE + 1, 9, 'x');
    t.settle();
    const [report] = t.reported;
    assert.deepEqual([report?.type, report?.code, report?.source], [3, 3, REMOTE]);
    assert.deepEqual(report?.quoted, {
      protocol: 17,
      source: GUEST,
      destination: REMOTE,
      firstWord: 5000 * 65_536 + 9,
      secondWord: 12 * 65_536,
      length: 12,
    });
    assert.equal(got, 1);
  });

  it('reports time exceeded from the router, fragmentation needed with the MTU, and a firewall as 13', () => {
    const t = udpBench();
    t.memory.route(REMOTE, [0x0a000001, 0x0a000002]);
    t.send(5000, REMOTE, 33_434, 'probe', { ttl: 2 });
    t.send(5000, REMOTE, 33_434, 'probe', { ttl: 3 });
    t.memory.pathMtu(REMOTE + 1, 1400, 0x0a000001);
    t.send(5000, REMOTE + 1, 9, new Uint8Array(1450), { dontFragment: true });
    t.memory.failDatagram(REMOTE + 2, 0, { code: 'EPERM' });
    t.send(5000, REMOTE + 2, 9, 'x');
    t.settle();
    assert.deepEqual(
      t.reported.map(({ type, code, source }) => [type, code, source]),
      [
        [11, 0, 0x0a000001],
        [11, 0, 0x0a000002],
        [3, 4, 0x0a000001],
        [3, 13, GATEWAY],
      ],
    );
    assert.equal(t.reported[2]?.mtu, 1400);
  });

  it('tells of the host’s own MTU in a way that fails no socket, but by an error to whoever probes the path', () => {
    const t = udpBench();
    const arrived: number[] = [];
    t.memory.listenUdp(REMOTE, 9, ({ bytes }) => void arrived.push(bytes.length));
    t.memory.pathMtu(REMOTE, 1500, 0);
    t.send(5000, REMOTE, 9, new Uint8Array(2000), { dontFragment: true });
    t.settle();
    assert.deepEqual([arrived, t.reported], [[2000], []]);
    assert.deepEqual(t.pathMtus, [{ source: GUEST, destination: REMOTE, mtu: 1500 }]);
    t.send(5000, REMOTE, 9, new Uint8Array(2000), { dontFragment: true, probesPath: true });
    t.settle();
    assert.deepEqual(arrived, [2000, 2000]);
    const [{ type, code, mtu, quoted }] = t.reported as [(typeof t.reported)[0]];
    assert.deepEqual([type, code, mtu, quoted?.length], [3, 4, 1500, 2008]);
    assert.equal(t.pathMtus.length, 1);
  });

  it('carries the type of service, DSCP and ECN, of each datagram both ways, in one frame or in fragments', () => {
    const t = udpBench();
    const seen: number[] = [];
    t.memory.listenUdp(REMOTE, 9, ({ tos, bytes, reply }) => {
      seen.push(tos);
      reply(bytes, tos ^ 1);
    });
    for (const tos of [0xb8, 0, 0x02]) t.send(5000, REMOTE, 9, 'x', { tos });
    t.send(5000, REMOTE, 9, new Uint8Array(3000), { tos: 0x48 });
    t.settle();
    assert.deepEqual(seen, [0xb8, 0, 0x02, 0x48]);
    assert.deepEqual(
      t.delivered.map(({ tos }) => tos),
      [0xb9, 1, 0x03, 0x49],
    );
  });

  it('answers a datagram whose time to live ends here itself', () => {
    const t = udpBench();
    t.send(5000, REMOTE, 33_434, 'probe', { ttl: 1 });
    assert.deepEqual([t.reported[0]?.type, t.reported[0]?.source], [11, undefined]);
    assert.equal(t.udp.list().length, 0);
  });

  it('reaches the host itself under the host address', () => {
    const t = udpBench();
    t.memory.listenUdp(LOOPBACK4, 9, ({ reply }) => reply(bytes('from the host')));
    t.send(5000, HOST_ADDRESS, 9, 'x');
    t.settle();
    assert.deepEqual([t.delivered[0]?.source, t.delivered[0]?.text], [HOST_ADDRESS, 'from the host']);
  });

  it('finds a service of the host that listens on [::1] only, without losing the first datagram', () => {
    const t = udpBench();
    t.memory.listenUdp(LOOPBACK6, 9, ({ bytes: got, reply }) => reply(bytes(`six ${text(got)}`)));
    t.send(5000, HOST_ADDRESS, 9, 'one');
    t.settle();
    t.send(5000, HOST_ADDRESS, 9, 'two');
    t.settle();
    assert.deepEqual(
      t.delivered.map((got) => [got.source, got.text]),
      [
        [HOST_ADDRESS, 'six one'],
        [HOST_ADDRESS, 'six two'],
      ],
    );
    assert.deepEqual(t.reported, []);
  });

  it('refuses in the name of the host address when neither loopback listens', () => {
    const t = udpBench();
    t.send(5000, HOST_ADDRESS, 9, 'x');
    t.settle();
    assert.deepEqual(
      t.reported.map(({ type, code, source }) => [type, code, source]),
      [[3, 3, HOST_ADDRESS]],
    );
  });

  it('follows the decision: service, refuse, prohibit, drop', () => {
    const t = udpBench({
      target: (port) => {
        if (port === 1) return { kind: 'refuse', reason: 'test-refused' };
        if (port === 2) return { kind: 'prohibit', reason: 'test-prohibited' };
        return port === 3 ? { kind: 'drop', reason: 'test-dropped' } : undefined;
      },
    });
    for (const port of [1, 2, 3]) t.send(5000, REMOTE, port, 'x');
    t.send(5000, GATEWAY, 53, 'question');
    assert.deepEqual(
      t.reported.map(({ type, code }) => [type, code]),
      [
        [3, 3],
        [3, 13],
      ],
    );
    assert.deepEqual(t.counters.snapshot(), { 'test-dropped': 1, 'test-prohibited': 1, 'test-refused': 1 });
    assert.deepEqual(t.serviceCalls, [{ service: 'dns', guestPort: 5000, text: 'question' }]);
    const at = t.arena.allocate(64);
    t.arena.bytes.set(bytes('answer'), at);
    const asked = { guestAddress: GUEST, guestPort: 5000, gatewayAddress: GATEWAY, gatewayPort: 53 };
    assert.equal(t.udp.replyFromService(asked, at, 6), true);
    assert.deepEqual(
      [t.delivered[0]?.source, t.delivered[0]?.sourcePort, t.delivered[0]?.text],
      [GATEWAY, 53, 'answer'],
    );
    assert.equal(t.udp.replyFromService({ ...asked, guestAddress: GUEST + 1 }, at, 6), false);
  });

  it('hands broadcasts to their service and drops others', () => {
    const t = udpBench();
    const got: number[] = [];
    t.udp.registerBroadcastService(67, (_packet, _at, length) => got.push(length));
    t.send(68, 0xffffffff, 67, 'abc');
    t.send(68, GATEWAY, 67, 'ab');
    t.send(68, 0xc0a841ff, 137, 'x');
    t.send(68, 0xe00000fb, 5353, 'x');
    assert.deepEqual(got, [3, 2]);
    assert.equal(t.counters.get('udp-broadcast'), 2);
    assert.equal(t.udp.list().length, 0);
  });

  it('leaves answers in the host socket while the outlet is full', () => {
    const t = udpBench();
    t.memory.listenUdp(REMOTE, 9, ({ reply }) => reply(bytes('x')));
    t.outlet.full = true;
    t.send(5000, REMOTE, 9, 'x');
    t.settle();
    assert.equal(t.delivered.length, 0);
    t.outlet.full = false;
    for (const waiter of t.outlet.waiters) waiter.outletWritable();
    t.settle();
    assert.equal(t.delivered.length, 1);
    assert.equal(t.counters.get('udp-outlet-full'), 0);
  });

  it('never throws on random datagrams', () => {
    const t = udpBench();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(0xffffffff), (content, destination) => {
        const at = 4096 - 64;
        t.arena.bytes.set(content, at);
        t.udp.receive({
          frame: Object.assign(new Frame(), { checksumValid: true }),
          neighbor: t.neighbor,
          headerAt: at - 20,
          payloadAt: at,
          payloadEnd: at + content.length,
          source: GUEST,
          destination,
          protocol: 17,
          ttl: 64,
          dontFragment: false,
          probesPath: false,
          tos: 0,
        });
      }),
    );
    t.settle();
  });
});
