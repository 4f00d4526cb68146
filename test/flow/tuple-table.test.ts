import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TupleTable } from '../../src/flow/tuple-table.ts';

// Few values, so that sets, deletes and look-ups meet; the large ones use every bit.
const address = fc.constantFrom(0, 1, 0xc0a84103, 0xffff_ffff);
const port = fc.oneof(fc.nat(3), fc.constantFrom(80, 443, 65_535));
const key = fc.tuple(address, port, address, port);
const command = fc.record({ what: fc.constantFrom('set' as const, 'delete' as const), key });

test('whatever is set and deleted, the table answers as a Map does', () => {
  fc.assert(
    fc.property(fc.integer(), fc.array(command, { maxLength: 400 }), (seed, commands) => {
      const table = new TupleTable<number>(seed >>> 0);
      const model = new Map<string, number>();
      for (const [i, { what, key: k }] of commands.entries()) {
        if (what === 'set') {
          table.set(...k, i);
          model.set(k.join(), i);
        } else assert.equal(table.delete(...k), model.delete(k.join()));
        assert.equal(table.size, model.size);
      }
      for (const { key: k } of commands) assert.equal(table.get(...k), model.get(k.join()));
      assert.deepEqual([...table.values()].sort(), [...model.values()].sort());
    }),
  );
});

test('it grows far beyond its first size and shrinks to nothing without losing an entry', () => {
  const table = new TupleTable<number>(0x9e3779b9);
  const count = 20_000;
  for (let i = 0; i < count; i++) table.set(0xc0a84103, i & 0xffff, 0xcb007107, 443, i);
  assert.equal(table.size, count);
  for (let i = 0; i < count; i += 2) assert.equal(table.delete(0xc0a84103, i, 0xcb007107, 443), true);
  for (let i = 0; i < count; i++) {
    assert.equal(table.get(0xc0a84103, i, 0xcb007107, 443), i % 2 === 0 ? undefined : i);
  }
  for (let i = 1; i < count; i += 2) table.delete(0xc0a84103, i, 0xcb007107, 443);
  assert.equal(table.size, 0);
  assert.deepEqual([...table.values()], []);
});
