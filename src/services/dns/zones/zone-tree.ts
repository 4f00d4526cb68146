import type { Zone } from './zone.ts';
import { parentKey } from './zone-names.ts';

/**
 * All zones by name. The zone with the longest name that a name ends with decides about it; the zone around it only knows that
 * something begins there (a cut), so that the names between the two exist (RFC 4592 §2.2.2).
 */
export class ZoneTree {
  /** In the order in which they came. */
  readonly #zones = new Map<string, Zone>();

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
    for (let name = key; ; name = parentKey(name)) {
      const zone = this.#zones.get(name);
      if (zone !== undefined || name === '') return zone;
    }
  }

  add(zone: Zone): void {
    const around = this.#around(zone);
    this.#zones.set(zone.name, zone);
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
  }

  #around(zone: Zone): Zone | undefined {
    return zone.name === '' ? undefined : this.of(parentKey(zone.name));
  }

  #directlyIn(zone: Zone): Zone[] {
    return [...this.#zones.values()].filter((inner) => inner !== zone && this.#around(inner) === zone);
  }
}
