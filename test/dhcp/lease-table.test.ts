import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clientKey } from '../../src/dhcp/dhcp-client.ts';
import { DhcpBench, NETWORK } from './dhcp-bench.ts';

describe('clientKey', () => {
  it('recognises a MAC with its hardware type as the MAC', () => {
    assert.equal(clientKey(Uint8Array.of(1, 2, 0, 0, 0, 0, 5), 0x020000000005), clientKey(undefined, 0x020000000005));
    assert.notEqual(clientKey(Uint8Array.of(0, 65), 5), clientKey(undefined, 5));
    assert.equal(clientKey(Uint8Array.of(7), 5), clientKey(undefined, 5));
  });
});

describe('LeaseTable', () => {
  it('follows a client that moves to another port', () => {
    const t = new DhcpBench();
    t.join({ mac: 1, place: 1 });
    t.join({ mac: 1, place: 2 });
    assert.deepEqual([t.leases.leasesOf(1).size, t.leases.leasesOf(2).size], [0, 1]);
  });

  it('lets go of who has an address that is then reserved for another', () => {
    const t = new DhcpBench();
    t.join({ mac: 1 });
    t.leases.reservations.add({ mac: 9, address: NETWORK + 3 });
    t.leases.vacate(NETWORK + 3, t.nowMs);
    assert.deepEqual(
      t.changes.map(({ kind }) => kind),
      ['bound', 'ended'],
    );
    assert.equal(t.join({ mac: 1 }), NETWORK + 4);
    assert.equal(t.join({ mac: 9 }), NETWORK + 3);
  });

  it('gives out an address that was ours, or reserved, once that is over', () => {
    const t = new DhcpBench({ reservations: [{ mac: 9, address: NETWORK + 5 }] }, 28);
    t.own.add(NETWORK + 4);
    assert.deepEqual([t.join({ mac: 1 }), t.join({ mac: 2 })], [NETWORK + 3, NETWORK + 6]);
    t.own.delete(NETWORK + 4);
    t.leases.reservations.add({ mac: 9, address: NETWORK + 7 });
    t.leases.addressesFreed();
    assert.deepEqual(
      [3, 4, 5].map((mac) => t.join({ mac })),
      [NETWORK + 4, NETWORK + 5, NETWORK + 8],
    );
  });

  it('forgets an offer that nobody took', () => {
    const t = new DhcpBench();
    t.ask({ type: 1 });
    assert.equal(t.leases.size, 1);
    t.advance(60_004);
    assert.equal(t.leases.size, 0);
  });

  it('stays at its bound in a large subnet', () => {
    const t = new DhcpBench({ leasesPerGuest: 10_000 }, 16);
    for (let mac = 1; mac <= 5000; mac++) t.ask({ type: 1, mac });
    assert.equal(t.leases.size, 4096);
  });
});
