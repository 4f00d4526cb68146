import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ZoneStore } from '../../../../src/services/dns/zones/zone-store.ts';
import { a, address, ask, txt } from './asking.ts';

/**
 * A model of the lookup that follows the words of RFC 4592 and has no tree: all names are lists of labels, the top one
 * first, and whether one exists is asked of all records each time.
 */

type Name = readonly string[];
interface Entry {
  readonly name: Name;
  readonly kind: 'A' | 'TXT';
}
interface Model {
  readonly zones: readonly Name[];
  readonly entries: readonly Entry[];
  readonly defaultAddress: boolean;
}

const startsWith = (name: Name, prefix: Name): boolean => prefix.every((label, i) => name[i] === label);
const same = (one: Name, other: Name): boolean => one.length === other.length && startsWith(one, other);

function zoneOf(model: Model, name: Name): Name | undefined {
  return model.zones.filter((zone) => startsWith(name, zone)).toSorted((one, other) => other.length - one.length)[0];
}

/** What the name has: the kinds of its records, or that there is no such name. */
function expected(model: Model, name: Name, kind: 'A' | 'TXT'): string {
  const zone = zoneOf(model, name);
  if (zone === undefined) return 'not ours';
  const mine = model.entries.filter((entry) => zoneOf(model, entry.name) === zone);
  const exists = (asked: Name): boolean =>
    [...mine.map((entry) => entry.name), ...model.zones].some((other) => startsWith(other, asked));
  const kindsAt = (asked: Name): string[] => mine.filter((entry) => same(entry.name, asked)).map((entry) => entry.kind);
  const decide = (kinds: readonly string[], there: boolean): string => {
    if (kinds.length > 0) return kinds.includes(kind) ? `own ${kind}` : 'NODATA';
    if (model.defaultAddress && zone === model.zones[0] && !same(name, zone))
      return kind === 'A' ? 'default' : 'NODATA';
    return there ? 'NODATA' : 'NXDOMAIN';
  };
  if (exists(name)) return decide(kindsAt(name), true);
  let encloser = name;
  while (!exists(encloser)) encloser = encloser.slice(0, -1);
  const source = [...encloser, '*'];
  return exists(source) ? decide(kindsAt(source), true) : decide([], false);
}

const text = (name: Name): string => name.toReversed().join('.');

function actual(store: ZoneStore, name: Name, kind: 'A' | 'TXT'): string {
  const said = ask(store, text(name), kind);
  if (said === undefined) return 'not ours';
  assert.equal(
    said.answer.length === 0,
    said.authority.some((record) => record.includes(' SOA ')),
  );
  if (said.rcode === 'NXDOMAIN') return 'NXDOMAIN';
  assert.equal(said.rcode, 'NOERROR');
  if (said.answer.length === 0) return 'NODATA';
  return said.answer[0]?.endsWith('10.9.9.9') === true ? 'default' : `own ${kind}`;
}

const label = fc.constantFrom('*', 'a', 'b');
const below = fc.array(label, { maxLength: 4 });
const plain = fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 2 });

test('the answer is what a naive reading of RFC 4592 says, for any names, wildcards and zones inside of each other', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ name: below, kind: fc.constantFrom<'A' | 'TXT'>('A', 'TXT') }), { maxLength: 8 }),
      fc.array(plain, { maxLength: 2 }),
      fc.boolean(),
      fc.array(fc.tuple(below, fc.integer({ min: 0, max: 1 })), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 0, max: 3 }),
      (records, inner, defaultAddress, questions, removed) => {
        const apex = ['test', 'zone'];
        const zones = [apex, ...inner.map((name) => [...apex, ...name])].filter(
          (name, i, all) => all.findIndex((other) => same(other, name)) === i,
        );
        const entries = records.map(({ name, kind }) => ({ name: [...apex, ...name], kind }));
        const store = new ZoneStore({ defaultTtlSeconds: 10 });
        const full: Model = { zones, entries, defaultAddress };
        for (const zone of zones) {
          store.setZone({
            name: text(zone),
            ...(defaultAddress && zone === apex ? { defaultAddress: address('10.9.9.9') } : {}),
            records: [],
          });
        }
        const add = ({ name, kind }: Entry): void => {
          const data = kind === 'A' ? a('10.0.0.1') : txt('x');
          store.addRecords(text(zoneOf(full, name) ?? apex), [{ name: `${text(name)}.`, data }]);
        };
        for (const entry of entries) add(entry);
        // Records that come and go leave nothing behind.
        for (const entry of entries.slice(0, removed)) {
          store.removeRecords(text(zoneOf(full, entry.name) ?? apex), [
            { name: `${text(entry.name)}.`, type: entry.kind },
          ]);
        }
        const gone = entries.slice(0, removed);
        const left = entries.filter(
          (entry) => !gone.some((other) => same(other.name, entry.name) && other.kind === entry.kind),
        );
        const model: Model = { zones, entries: left, defaultAddress };
        for (const [name, which] of questions) {
          const kind = which === 0 ? 'A' : 'TXT';
          const asked = [...apex, ...name];
          assert.equal(actual(store, asked, kind), expected(model, asked, kind), `${text(asked)} ${kind}`);
        }
      },
    ),
    { numRuns: 3000 },
  );
});
