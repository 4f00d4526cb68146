import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { clientKey, type DhcpClient, LeaseTable } from '../../src/dhcp/lease-table.ts';

const NETWORK = 0xc0a84100;
const GATEWAY = NETWORK + 1;
const HOST_ADDRESS = NETWORK + 254;
const LEASE_MS = 3_600_000;

function client(mac: number): DhcpClient {
  return { key: clientKey(undefined, mac), mac };
}

function table(prefixLength = 24, usedByOther?: (address: number, mac: number) => boolean): LeaseTable {
  const pool = { network: NETWORK, prefixLength, excluded: [GATEWAY, NETWORK + 2, HOST_ADDRESS] };
  return new LeaseTable(usedByOther === undefined ? pool : { ...pool, usedByOther });
}

describe('LeaseTable', () => {
  it('begins with the first address that is not taken', () => {
    assert.equal(table().offer(client(1), undefined, 0)?.address, NETWORK + 3);
  });

  it('gives a client the same address after its lease ended and others came', () => {
    const leases = table();
    const mine = leases.offer(client(1), undefined, 0)?.address ?? 0;
    leases.bind(client(1), mine, LEASE_MS, 'one', 0);
    leases.offer(client(2), undefined, 0);
    assert.equal(leases.offer(client(1), undefined, LEASE_MS * 2)?.address, mine);
  });

  it('grants a wish for a free address and ignores one for what is taken or outside', () => {
    const leases = table();
    assert.equal(leases.offer(client(1), NETWORK + 77, 0)?.address, NETWORK + 77);
    assert.equal(leases.offer(client(2), NETWORK + 77, 0)?.address, NETWORK + 3);
    for (const [i, wish] of [NETWORK, GATEWAY, HOST_ADDRESS, NETWORK + 255, 0x08080808].entries()) {
      assert.equal(leases.offer(client(10 + i), wish, 0)?.address, NETWORK + 4 + i);
    }
  });

  it('keeps a reserved address for its MAC alone', () => {
    const leases = table();
    leases.reserve(9, NETWORK + 3);
    assert.equal(leases.offer(client(1), NETWORK + 3, 0)?.address, NETWORK + 4);
    assert.equal(leases.bind(client(1), NETWORK + 3, LEASE_MS, '', 0), undefined);
    assert.equal(leases.offer(client(9), undefined, 0)?.address, NETWORK + 3);
    assert.equal(leases.bind(client(9), NETWORK + 5, LEASE_MS, '', 0), undefined);
  });

  it('leaves an address alone that a guest uses without a lease', () => {
    const leases = table(24, (address, mac) => address === NETWORK + 3 && mac !== 7);
    assert.equal(leases.offer(client(1), undefined, 0)?.address, NETWORK + 4);
    assert.equal(leases.offer(client(7), NETWORK + 3, 0)?.address, NETWORK + 3);
  });

  it('does not hand out a declined address for ten minutes', () => {
    const leases = table();
    leases.offer(client(1), undefined, 0);
    leases.decline(client(1), NETWORK + 3, 0);
    assert.equal(leases.offer(client(2), NETWORK + 3, 599_000)?.address, NETWORK + 4);
    assert.equal(leases.offer(client(3), NETWORK + 3, 601_000)?.address, NETWORK + 3);
  });

  it('lets a client decline or release only what is its own', () => {
    const leases = table();
    leases.bind(client(1), NETWORK + 3, LEASE_MS, '', 0);
    leases.decline(client(2), NETWORK + 3, 0);
    leases.release(client(2), NETWORK + 3);
    assert.equal(leases.find(client(1))?.state, 'bound');
  });

  it('survives a flood of made-up clients without taking what is bound', () => {
    const leases = table(28);
    leases.bind(client(1), NETWORK + 3, LEASE_MS, '', 0);
    for (let mac = 100; mac < 600; mac++) assert.ok(leases.offer(client(mac), undefined, mac));
    assert.equal(leases.find(client(1))?.state, 'bound');
    assert.ok(leases.list().length <= 12);
    for (const { address } of leases.list()) leases.bind(client(address), address, LEASE_MS, '', 100_000);
    assert.equal(leases.offer(client(9999), undefined, 100_001), undefined);
  });

  it('recognises a MAC with its hardware type as the MAC', () => {
    assert.equal(clientKey(Uint8Array.of(1, 2, 0, 0, 0, 0, 5), 0x020000000005), clientKey(undefined, 0x020000000005));
    assert.notEqual(clientKey(Uint8Array.of(0, 65), 5), clientKey(undefined, 5));
  });

  it('never gives one address to two clients nor an excluded one to any, whatever happens', () => {
    const step = fc.record({
      kind: fc.constantFrom('offer', 'bind', 'release', 'decline', 'reserve'),
      mac: fc.integer({ min: 1, max: 12 }),
      address: fc.integer({ min: NETWORK - 1, max: NETWORK + 16 }),
      waitMs: fc.constantFrom(0, 1_000, 61_000, LEASE_MS),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const leases = table(28);
        let nowMs = 0;
        for (const { kind, mac, address, waitMs } of steps) {
          nowMs += waitMs;
          if (kind === 'offer') leases.offer(client(mac), address, nowMs);
          else if (kind === 'bind') leases.bind(client(mac), address, LEASE_MS, '', nowMs);
          else if (kind === 'release') leases.release(client(mac), address);
          else if (kind === 'decline') leases.decline(client(mac), address, nowMs);
          else if (address > NETWORK + 2 && address < NETWORK + 15) leases.reserve(mac, address);
          const held = leases.list().filter(({ state }) => state === 'offered' || state === 'bound');
          assert.equal(new Set(held.map((lease) => lease.client.key)).size, held.length);
          for (const lease of held) {
            assert.ok(lease.address > NETWORK + 2 && lease.address < NETWORK + 15);
            assert.equal(leases.find(lease.client)?.address, lease.address);
          }
        }
      }),
    );
  });
});
