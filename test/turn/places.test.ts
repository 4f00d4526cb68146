import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Places } from '../../src/turn/places.ts';

function taken(places: Places<string>, counts: Readonly<Record<string, number>>): Places<string> {
  for (const [owner, count] of Object.entries(counts)) for (let i = 0; i < count; i++) places.add(owner);
  return places;
}

test('while there is room nobody pays, and one owner leaves a reserve', () => {
  const places = taken(new Places<string>(8, 6), { greedy: 6 });
  assert.equal(places.payer('other'), undefined);
  assert.equal(places.payer('greedy'), 'greedy');
  assert.equal(places.isFull, false);
});

test('when all places are taken whoever has most pays, so no owner is left with nothing', () => {
  const places = taken(new Places<string>(8, 6), { greedy: 5, second: 3 });
  assert.equal(places.isFull, true);
  assert.equal(places.payer('third'), 'greedy');
  assert.equal(places.payer('second'), 'greedy');
  assert.equal(places.payer('greedy'), 'greedy');
  places.drop('greedy');
  assert.equal(places.payer('third'), undefined);
});

test('equals do not take from each other', () => {
  const places = taken(new Places<string>(4, 3), { one: 2, two: 2 });
  assert.equal(places.payer('one'), 'one');
  assert.equal(places.payer('two'), 'two');
  assert.equal(places.payer('three'), 'one');
});

test('where nothing is left outside the table, the same one pays as when it is full; alone one pays oneself', () => {
  const places = taken(new Places<string>(8, 6), { most: 3, some: 1 });
  assert.equal(places.payer('some'), undefined);
  assert.equal(places.payerOfAll('some'), 'most');
  assert.equal(places.payerOfAll('most'), 'most');
  assert.equal(new Places<string>(8, 6).payerOfAll('first'), 'first');
});
