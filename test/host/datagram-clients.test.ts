import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CLIENT_WORDS, DatagramClients } from '../../src/host/datagram-clients.ts';

describe('the table of a UDP server’s clients', () => {
  it('keeps each client’s handle, and the one silent for longest makes room', () => {
    const names = fc.array(fc.nat(40), { maxLength: 300 });
    fc.assert(
      fc.property(names, fc.integer({ min: 1, max: 20 }), (seen, max) => {
        const table = new DatagramClients(max);
        // A Map keeps the order in which it was filled: the first is the one silent for longest.
        const model = new Map<number, number>();
        const gone: number[] = [];
        for (const name of seen) {
          const handle = find(table, name);
          const known = model.get(name);
          if (known !== undefined) assert.equal(handle, known);
          model.delete(name);
          model.set(name, handle);
          if (model.size > max) {
            const [oldest, lost] = model.entries().next().value as [number, number];
            model.delete(oldest);
            gone.push(lost);
          }
          assert.equal(table.size, model.size);
        }
        for (const handle of gone) assert.equal(table.at(handle), -1);
        for (const [name, handle] of model) assert.equal(nameAt(table, handle), name);
      }),
    );
  });

  it('grows to 4,096 clients and no further, and forgets nobody before', () => {
    const table = new DatagramClients();
    const handles = Array.from({ length: 4096 }, (_, name) => find(table, name));
    for (const [name, handle] of handles.entries()) assert.equal(nameAt(table, handle), name);
    find(table, 5000);
    assert.equal(table.size, 4096);
    assert.equal(table.at(handles[0]!), -1);
    assert.equal(nameAt(table, handles[1]!), 1);
  });

  it('counts an answer as a sign of life', () => {
    const table = new DatagramClients(2);
    const [first, second] = [find(table, 1), find(table, 2)];
    assert.equal(nameAt(table, first), 1);
    find(table, 3);
    assert.equal(nameAt(table, first), 1);
    assert.equal(table.at(second), -1);
  });

  it('knows no handle that it did not give', () => {
    const table = new DatagramClients();
    for (const handle of [-1, 0, 1, 5000, 0x7fffffff]) assert.equal(table.at(handle), -1);
  });
});

function find(table: DatagramClients, name: number): number {
  table.key.fill(0);
  table.key[CLIENT_WORDS - 1] = name;
  return table.find();
}

function nameAt(table: DatagramClients, handle: number): number | undefined {
  const at = table.at(handle);
  return at < 0 ? undefined : table.words[at + CLIENT_WORDS - 1];
}
