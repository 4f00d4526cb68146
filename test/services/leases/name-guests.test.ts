import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeaseRecord } from '../../../src/dhcp/lease-record.ts';
import { Reservations } from '../../../src/dhcp/reservations.ts';
import { LeaseBook } from '../../../src/services/leases/lease-book.ts';
import { nameGuests, ReservedNames } from '../../../src/services/leases/name-guests.ts';

const lease = (facts: Partial<LeaseRecord>): LeaseRecord => ({
  address: 3,
  mac: 2,
  clientKey: 'c',
  hostName: 'laptop',
  remainingMs: 1_000,
  seenAgoMs: 0,
  ...facts,
});

test('every lease is told with its name, and its end', () => {
  const told: string[] = [];
  const book = new LeaseBook(() => 0);
  nameGuests(book, [], {
    setLeaseName: ({ name, address }) => told.push(`${address} is "${name}"`),
    endLease: (address) => told.push(`${address} is over`),
  });
  book.restore([lease({}), lease({ address: 4, clientKey: 'd', hostName: '' })]);
  book.apply({ kind: 'ended', lease: lease({}) });
  assert.deepEqual(told, ['3 is "laptop"', '4 is ""', '3 is over']);
});

test('a lease whose client is known by another key now keeps its name, and is one lease', () => {
  const told: string[] = [];
  const book = new LeaseBook(() => 0);
  nameGuests(book, [], {
    setLeaseName: ({ name, address }) => told.push(`${address} is "${name}"`),
    endLease: (address) => told.push(`${address} is over`),
  });
  book.apply({ kind: 'bound', lease: lease({ clientKey: '000000000002' }) });
  book.apply({ kind: 'bound', lease: lease({ clientKey: 'id-ff07' }) });
  book.apply({ kind: 'ended', lease: lease({ clientKey: '000000000002' }) });
  assert.deepEqual(told, ['3 is "laptop"', '3 is "laptop"']);
  assert.deepEqual(
    book.records().map(({ clientKey }) => clientKey),
    ['id-ff07'],
  );
});

test('a reserved name is only for the client or the MAC that it is reserved for', () => {
  const names = new ReservedNames([
    { clientKey: 'id-01', name: 'Printer' },
    { clientKey: 'id-0001', name: 'printer' },
    { mac: 7, name: 'web' },
    { mac: 8, address: 9 },
  ]);
  assert.equal(names.nameOf(lease({ clientKey: 'id-01', hostName: 'printer' })), 'Printer');
  assert.equal(names.nameOf(lease({ clientKey: 'id-0001', hostName: 'printer' })), 'printer');
  assert.equal(names.nameOf(lease({ mac: 7, hostName: 'web' })), 'web');
  for (const hostName of ['printer', 'PRINTER', 'printer.corp.example', 'web']) {
    assert.equal(names.nameOf(lease({ hostName })), '', hostName);
  }
  assert.equal(names.nameOf(lease({ hostName: 'printers' })), 'printers');
});

test('a guest that is recognised by the MAC of a reservation with MAC and identifier has its name', () => {
  const reservations = [{ mac: 7, clientKey: 'id-ff01', address: 20, name: 'web' }];
  const plain = { clientKey: '000000000007', mac: 7 };
  // What the DHCP server makes of a client that sends no identifier.
  assert.equal(new Reservations(reservations).of({ ...plain, key: plain.clientKey, place: 1 })?.name, 'web');
  assert.equal(new ReservedNames(reservations).nameOf(lease({ ...plain, hostName: 'web' })), 'web');
});

test('a name that was reserved between two runs is there at once', () => {
  const told: string[] = [];
  const book = new LeaseBook(() => 0);
  nameGuests(book, [{ mac: 2, name: 'web' }], {
    setLeaseName: ({ name, address }) => told.push(`${address} is "${name}"`),
    endLease: () => {},
  });
  book.restore([lease({ hostName: 'debian' })]);
  assert.deepEqual(told, ['3 is "web"']);
});
