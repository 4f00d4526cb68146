import type { Zone } from './zone.ts';
import { labelStarts, parentKey } from './zone-names.ts';

/**
 * All zones by name. The zone with the longest name that a name ends with decides about it; the zone around it only
 * knows that something begins there (a cut), so that the names between the two exist (RFC 4592 §2.2.2).
 */
export class ZoneTree {
  /** In the order in which they came. */
  readonly #zones = new Map<string, Zone>();
  /** Labels of the name that has most. */
  #mostLabels = 0;

  get size(): number {
    return this.#zones.size;
  }

  get all(): Iterable<Zone> {
    return this.#zones.values();
  }

  get(name: string): Zone | undefined {
    return this.#zones.get(name);
  }

  /** The zone that decides about a name. */
  of(key: string): Zone | undefined {
    const starts = labelStarts(key);
    // No more lookups than the longest zone has labels, however many the guest sends.
    for (let i = Math.max(0, starts.length - this.#mostLabels); i < starts.length; i++) {
      const zone = this.#zones.get(key.slice(starts[i]));
      if (zone !== undefined) return zone;
    }
    return this.#zones.get('');
  }

  add(zone: Zone): void {
    const around = this.#around(zone);
    this.#zones.set(zone.name, zone);
    this.#mostLabels = Math.max(this.#mostLabels, labelStarts(zone.name).length);
    for (const inner of this.#directlyIn(zone)) {
      around?.setCut(inner.name, false);
      zone.setCut(inner.name, true);
    }
    around?.setCut(zone.name, true);
  }

  remove(zone: Zone): void {
    const around = this.#around(zone);
    for (const inner of this.#directlyIn(zone)) around?.setCut(inner.name, true);
    around?.setCut(zone.name, false);
    this.#zones.delete(zone.name);
    this.#mostLabels = Math.max(0, ...[...this.#zones.keys()].map((name) => labelStarts(name).length));
  }

  #around(zone: Zone): Zone | undefined {
    return zone.name === '' ? undefined : this.of(parentKey(zone.name));
  }

  #directlyIn(zone: Zone): Zone[] {
    return [...this.#zones.values()].filter((inner) => inner !== zone && this.#around(inner) === zone);
  }
}
