import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LeaseRecord } from '../../../src/dhcp/lease-record.ts';
import { formatLeases, parseLeases } from '../../../src/services/leases/lease-text.ts';
import { parseCidr } from '../../../src/wire/cidr.ts';

const subnet = parseCidr('192.168.65.0/24')!;
const WALL = Date.parse('2024-05-01T12:00:00Z');

const record = fc.record(
  {
    address: fc.integer({ min: subnet.network, max: subnet.broadcast }),
    mac: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
    clientKey: fc.string({ minLength: 1, maxLength: 520 }),
    hostName: fc.string({ maxLength: 255 }),
    remainingMs: fc.oneof(fc.integer({ min: -1e9, max: 1e9 }), fc.constant(Number.POSITIVE_INFINITY)),
    seenAgoMs: fc.integer({ min: 0, max: 1e9 }),
  },
  { noNullPrototype: true },
);

test('what is written is read again', () => {
  fc.assert(
    fc.property(fc.array(record), (records) => {
      assert.deepEqual(parseLeases(formatLeases(subnet, records, WALL), subnet, WALL), records);
    }),
  );
});

const one: LeaseRecord = {
  address: subnet.network + 3,
  mac: 0x5a94ef000001,
  clientKey: 'id-ff01',
  hostName: 'web',
  remainingMs: 60_000,
  seenAgoMs: 1_000,
};

test('time goes on while nothing runs, and a clock that went back makes no lease longer than it was', () => {
  const text = formatLeases(subnet, [one], WALL);
  const later = parseLeases(text, subnet, WALL + 30_000) as LeaseRecord[];
  assert.deepEqual(later, [{ ...one, remainingMs: 30_000, seenAgoMs: 31_000 }]);
  const before = parseLeases(text, subnet, WALL - 1e12) as LeaseRecord[];
  assert.deepEqual(before, [{ ...one, remainingMs: 61_000, seenAgoMs: 0 }]);
});

test('the text names addresses and times as people write them', () => {
  assert.deepEqual(JSON.parse(formatLeases(subnet, [{ ...one, remainingMs: Number.POSITIVE_INFINITY }], WALL)), {
    version: 1,
    subnet: '192.168.65.0/24',
    leases: [
      {
        address: '192.168.65.3',
        mac: '5a:94:ef:00:00:01',
        client: 'id-ff01',
        name: 'web',
        ends: null,
        seen: '2024-05-01T11:59:59.000Z',
      },
    ],
  });
});

test('what is not ours is refused with the reason', () => {
  const good = JSON.parse(formatLeases(subnet, [one], WALL)) as { leases: object[] };
  const changed = (facts: object): string => JSON.stringify({ ...good, ...facts });
  const lease = (facts: object): string => changed({ leases: [{ ...good.leases[0], ...facts }] });
  const cases: [string, RegExp][] = [
    ['', /not JSON/],
    ['{"version":1', /not JSON/],
    ['[]', /not a list of leases/],
    ['null', /not a list of leases/],
    [changed({ version: 2 }), /its version is 2, not 1/],
    [changed({ subnet: '10.0.0.0/24' }), /the subnet "10\.0\.0\.0\/24"/],
    [changed({ leases: {} }), /not a list of leases/],
    [changed({ leases: [null] }), /entry 0 of its leases cannot be used/],
    [lease({ address: '10.0.0.1' }), /entry 0 of its leases cannot be used/],
    [lease({ mac: 'x' }), /entry 0/],
    [lease({ client: '' }), /entry 0/],
    [lease({ name: 7 }), /entry 0/],
    [lease({ ends: 'soon' }), /entry 0/],
    [lease({ seen: null }), /entry 0/],
  ];
  for (const [text, expected] of cases) assert.match(String(parseLeases(text, subnet, WALL)), expected, text);
});

test('any text at all is an answer, never an exception', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parseLeases(text, subnet, WALL)));
});
