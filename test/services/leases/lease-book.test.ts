import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeaseChange, LeaseRecord } from '../../../src/dhcp/lease-record.ts';
import { LeaseBook } from '../../../src/services/leases/lease-book.ts';

const lease = (address: number, facts: Partial<LeaseRecord> = {}): LeaseRecord => ({
  address,
  mac: 0x5a94ef000000 + address,
  clientKey: `client-${address}`,
  hostName: '',
  remainingMs: 60_000,
  seenAgoMs: 0,
  ...facts,
});
const bound = (address: number, facts?: Partial<LeaseRecord>): LeaseChange => ({
  kind: 'bound',
  lease: lease(address, facts),
});
const ended = (address: number, facts?: Partial<LeaseRecord>): LeaseChange => ({
  kind: 'ended',
  lease: lease(address, facts),
});

test('what remains counts down, and what was heard grows old', () => {
  let now = 1_000;
  const book = new LeaseBook(() => now);
  book.apply(bound(3));
  now += 10_000;
  assert.deepEqual(book.records(), [lease(3, { remainingMs: 50_000, seenAgoMs: 10_000 })]);
});

test('a renewal makes no lease younger, a new client does', () => {
  const book = new LeaseBook(() => 0);
  for (const address of [3, 4, 5]) book.apply(bound(address));
  book.apply(bound(3, { remainingMs: 90_000 }));
  assert.deepEqual(addresses(book), [3, 4, 5]);
  book.apply(bound(3, { clientKey: 'another' }));
  assert.deepEqual(addresses(book), [4, 5, 3]);
});

test('a lease that ended is remembered for its client', () => {
  const book = new LeaseBook(() => 0);
  book.apply(bound(3));
  book.apply(ended(3));
  assert.deepEqual(book.records(), [lease(3, { remainingMs: 0 })]);
});

test('a client that moves leaves nothing behind', () => {
  const book = new LeaseBook(() => 0);
  book.apply(bound(3, { clientKey: 'one' }));
  book.apply(bound(4, { clientKey: 'one' }));
  assert.deepEqual(addresses(book), [4]);
});

test('the end of a lease that another client has by now is not its end', () => {
  const book = new LeaseBook(() => 0);
  const told: LeaseChange[] = [];
  book.apply(bound(3, { clientKey: 'new' }));
  book.watch((change) => told.push(change));
  book.apply(ended(3, { clientKey: 'old' }));
  assert.equal(book.records()[0]?.remainingMs, 60_000);
  assert.deepEqual(told, []);
});

test('restored leases are told, those in force as bound', () => {
  const book = new LeaseBook(() => 0);
  const told: string[] = [];
  book.watch(({ kind, lease: { address } }) => told.push(`${kind} ${address}`));
  book.restore([lease(3), lease(4, { remainingMs: -5 })]);
  assert.deepEqual(told, ['bound 3', 'ended 4']);
});

test('a flood of clients is bounded, and takes what has ended first', () => {
  let now = 0;
  const book = new LeaseBook(() => now);
  book.apply(bound(0));
  book.apply(bound(1, { remainingMs: 1 }));
  now = 10;
  for (let address = 2; address < 8_193; address++) book.apply(bound(address));
  assert.equal(book.records().length, 8_192);
  assert.ok(addresses(book).includes(0) && !addresses(book).includes(1));
});

function addresses(book: LeaseBook): number[] {
  return book.records().map(({ address }) => address);
}
