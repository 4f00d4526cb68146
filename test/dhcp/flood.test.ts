import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PROBE_MS } from '../../src/dhcp/conflict-probes.ts';
import { DHCP_ACK, DHCP_DECLINE, DHCP_DISCOVER, DHCP_RELEASE, DHCP_REQUEST } from '../../src/wire/dhcpv4.ts';
import { DhcpBench, GATEWAY, HOST_ADDRESS, NETWORK } from './dhcp-bench.ts';

const FAKE = 0x0200_0000_0000;
const KNOWN = [1, 2, 3];

/** Known guests at ports of their own: bound, released, and restored from an earlier run. */
function withKnownGuests(t: DhcpBench): Map<number, number> {
  t.server.restore(
    [
      {
        address: NETWORK + 90,
        mac: 3,
        clientKey: '000000000003',
        hostName: '',
        remainingMs: 3_000_000,
        seenAgoMs: 50_000,
      },
    ],
    t.nowMs,
  );
  const known = new Map<number, number>([[3, NETWORK + 90]]);
  for (const mac of [1, 2]) known.set(mac, t.join({ mac, place: 10 + mac }) ?? 0);
  t.ask({ type: DHCP_RELEASE, mac: 2, place: 12, ciaddr: known.get(2) ?? 0, server: GATEWAY });
  return known;
}

function knownKeepTheirs(t: DhcpBench, known: ReadonlyMap<number, number>): void {
  for (const mac of KNOWN) assert.equal(t.join({ mac, place: 10 + mac }), known.get(mac), `guest ${mac}`);
}

describe('a flood of made-up clients behind one port', () => {
  it('that go all the way takes only what its port may have', () => {
    const t = new DhcpBench({ leasesPerGuest: 16 });
    const known = withKnownGuests(t);
    for (let i = 0; i < 5000; i++) {
      t.turn.run(t.nowMs + 1);
      t.ask({ type: DHCP_DISCOVER, mac: FAKE + i, place: 1 });
      const lease = t.leases.list().find(({ client }) => client.mac === FAKE + i);
      if (lease !== undefined)
        t.ask({ type: DHCP_REQUEST, mac: FAKE + i, place: 1, wanted: lease.address, server: GATEWAY });
      assert.ok(t.leases.leasesOf(1).size <= 16);
    }
    assert.ok(t.leases.size <= 16 + 3);
    knownKeepTheirs(t, known);
    assert.ok(t.join({ mac: 77, place: 2 }));
    const held = t.changes.reduce((sum, { kind }) => sum + (kind === 'bound' ? 1 : -1), 0);
    const bound = t.leases.list().filter(({ state }) => state === 'bound').length;
    // Each lease that is over was said to be: what is left are renewals, and the one that was restored.
    assert.ok(held >= bound - 1 && held <= bound + 3, `${held} of ${bound}`);
  });

  it('that only ask, with every wish, behind a small subnet, leaves room for a newcomer elsewhere', () => {
    const t = new DhcpBench({}, 28);
    assert.equal(t.join({ mac: 1, place: 11 }), NETWORK + 3);
    for (let i = 0; i < 2000; i++) t.ask({ type: DHCP_DISCOVER, mac: FAKE + i, wanted: NETWORK + (i & 15), place: 1 });
    assert.equal(t.join({ mac: 1, place: 11 }), NETWORK + 3);
    assert.ok(t.join({ mac: 2, place: 12 }));
  });

  it('with the probe on: neither a port full of leases nor a pool full of them keeps a newcomer out', () => {
    const t = new DhcpBench({ probe: true }, 28);
    assert.equal(t.join({ mac: 1, place: 11 }), NETWORK + 3);
    for (let i = 0; i < 40; i++) t.join({ mac: FAKE + i, place: 1 });
    assert.equal(t.leases.list().filter(({ state }) => state === 'bound').length, 12);
    assert.ok(t.join({ mac: 2, place: 12 }));
    assert.equal(t.join({ mac: 1, place: 11 }), NETWORK + 3);
  });

  it('takes no lease of a guest that is alive behind the same port', () => {
    const t = new DhcpBench({ probe: true, leasesPerGuest: 4 });
    const mine = t.join({ mac: 1, place: 1 }) ?? 0;
    t.stations.set(mine, { mac: 1, port: { id: 1 } });
    for (let i = 0; i < 50; i++) {
      t.advance(70_000);
      t.join({ mac: FAKE + i, place: 1, leaseSeconds: 3600 });
    }
    t.ask({ type: DHCP_REQUEST, mac: 1, place: 1, ciaddr: mine });
    assert.equal(t.leases.at(mine)?.client.mac, 1);
    const ended = t.changes.filter(({ kind, lease }) => kind === 'ended' && lease.mac === 1);
    assert.deepEqual(ended, []);
  });

  it('takes no lease of a guest that spoke of late, where nobody is asked', () => {
    const t = new DhcpBench({ leasesPerGuest: 2 });
    const mine = t.join({ mac: 1, place: 1 }) ?? 0;
    for (let i = 0; i < 20; i++) {
      t.advance(1000);
      t.heard.set(mine, { mac: 1, port: { id: 1 }, seenMs: t.nowMs - 30_000 });
      t.join({ mac: FAKE + i, place: 1 });
    }
    assert.equal(t.leases.at(mine)?.client.mac, 1);
    // When all that a port may have is in use, its newcomer gets nothing.
    const other = t.leases.list().find(({ client }) => client.mac !== 1);
    t.heard.set(other?.address ?? 0, { mac: other?.client.mac ?? 0, port: { id: 1 }, seenMs: t.nowMs });
    assert.equal(t.join({ mac: 99, place: 1 }), undefined);
  });

  it('cannot take over the lease of a guest that is alive behind another port by sending its MAC', () => {
    const t = new DhcpBench();
    const id = Uint8Array.of(255, 0, 0, 0, 1, 0, 2, 7);
    const theirs = t.join({ mac: 1, place: 11, id }) ?? 0;
    t.heard.set(theirs, { mac: 1, port: { id: 11 }, seenMs: t.nowMs });
    for (const asked of [{}, { wanted: theirs }, { ciaddr: theirs }]) {
      for (const type of [DHCP_DISCOVER, DHCP_REQUEST]) t.ask({ type, mac: 1, place: 1, ...asked });
    }
    assert.notEqual(t.join({ mac: 1, place: 1 }), theirs);
    const lease = t.leases.at(theirs);
    assert.deepEqual([lease?.client.place, lease?.client.key, lease?.state], [11, 'id-ff00000001000207', 'bound']);
    assert.ok(t.counters.get('dhcp-card-elsewhere') > 0);
  });

  it('takes over no more than its port may hold from guests that are silent', () => {
    const t = new DhcpBench({ leasesPerGuest: 4 });
    for (let mac = 1; mac <= 20; mac++) t.join({ mac, place: 100 + mac, id: Uint8Array.of(255, mac) });
    for (let mac = 1; mac <= 20; mac++) t.join({ mac, place: 1 });
    assert.equal(t.leases.leasesOf(1).size, 4);
    assert.equal(t.leases.list().filter(({ client }) => client.key.startsWith('id-')).length, 16);
  });

  it('of REQUESTs for any address is refused beyond its share', () => {
    const t = new DhcpBench({ leasesPerGuest: 8 });
    for (let i = 3; i < 250; i++) t.ask({ type: DHCP_REQUEST, mac: FAKE + i, wanted: NETWORK + i, place: 1 });
    assert.equal(t.leases.size, 8);
  });

  it('that declines all it gets puts a bounded share of the pool out of use', () => {
    const t = new DhcpBench({ leasesPerGuest: 8 });
    for (let i = 0; i < 1000; i++) {
      const wanted = t.join({ mac: FAKE + i, place: 1 }) ?? 0;
      t.ask({ type: DHCP_DECLINE, mac: FAKE + i, place: 1, wanted, server: GATEWAY });
    }
    assert.ok(t.leases.claimsOf(1).size <= 8);
    assert.ok(t.join({ mac: 2, place: 2 }));
  });

  it('that answers every probe, or speaks from every address, is not believed beyond its share', () => {
    for (const passive of [false, true]) {
      const t = new DhcpBench({ probe: true, leasesPerGuest: 8 });
      for (let i = 3; i < 254; i++) {
        const station = { mac: FAKE + i, port: { id: 1 } };
        if (passive) t.heard.set(NETWORK + i, { ...station, seenMs: t.nowMs });
        t.stations.set(NETWORK + i, station);
      }
      let got: number | undefined;
      for (let i = 0; i < 4 && got === undefined; i++) got = t.join({ mac: 2, place: 2 });
      assert.ok(got, passive ? 'speaks' : 'answers');
      assert.equal(t.leases.claimsOf(1).size, 8);
    }
  });
});

describe('whatever clients do', () => {
  it('no address has two holders, none is one of ours, bounds hold, and events tell exactly who is bound', () => {
    const step = fc.record({
      type: fc.constantFrom(DHCP_DISCOVER, DHCP_REQUEST, DHCP_REQUEST, DHCP_RELEASE, DHCP_DECLINE, 0),
      mac: fc.integer({ min: 1, max: 14 }),
      place: fc.integer({ min: 1, max: 3 }),
      address: fc.integer({ min: NETWORK - 1, max: NETWORK + 16 }),
      renew: fc.boolean(),
      identified: fc.boolean(),
      station: fc.boolean(),
      waitMs: fc.constantFrom(0, 0, 10, PROBE_MS + 8, 61_000, 700_000, 3_600_000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, probe) => {
        const t = new DhcpBench({ probe, leasesPerGuest: 5, reservations: [{ mac: 14, address: NETWORK + 6 }] }, 28);
        for (const { type, place, address, renew, identified, station, waitMs, ...step } of steps) {
          const { mac } = step;
          const from = { mac, place, ...(identified && { id: Uint8Array.of(255, 0, 0, 0, mac, 0, 3) }) };
          if (station) t.stations.set(address, { mac, port: { id: place } });
          else t.stations.delete(address);
          if (type === 0) t.own.add(NETWORK + 10);
          else if (type === DHCP_REQUEST && renew) t.ask({ type, ...from, ciaddr: address });
          else if (type === DHCP_RELEASE) t.ask({ type, ...from, ciaddr: address, server: GATEWAY });
          else t.ask({ type, ...from, wanted: address, ...(type === DHCP_DECLINE && { server: GATEWAY }) });
          t.advance(waitMs);
          for (const { reply } of t.take()) {
            const { yiaddr, request } = reply;
            if (yiaddr === 0) continue;
            assert.ok(yiaddr > NETWORK + 2 && yiaddr < NETWORK + 15 && yiaddr !== HOST_ADDRESS);
            assert.equal(yiaddr === NETWORK + 6, request.client.mac === 14);
            if (reply.messageType === DHCP_ACK && waitMs === 0) {
              assert.equal(t.leases.at(yiaddr)?.client.key, request.client.key);
            }
          }
          const list = t.leases.list();
          const held = list.filter(({ state }) => state !== 'declined');
          assert.equal(new Set(held.map(({ client }) => client.key)).size, held.length);
          for (const lease of held) assert.equal(t.leases.find(lease.client)?.address, lease.address);
          const told = new Map<number, string>();
          for (const { kind, lease } of t.changes) {
            if (kind === 'bound') told.set(lease.address, lease.clientKey);
            else if (told.get(lease.address) === lease.clientKey) told.delete(lease.address);
            else assert.fail('an end without a beginning');
          }
          const bound = list.filter(({ state }) => state === 'bound');
          assert.deepEqual([...told].sort(), bound.map(({ address: at, client }) => [at, client.key]).sort());
        }
        for (const place of [1, 2, 3]) assert.ok(t.leases.claimsOf(place).size <= 5);
      }),
      { numRuns: 300 },
    );
  });
});
