import type { Zone } from './zone.ts';
import { isAtOrBelow, parentKey } from './zone-names.ts';
import { storedRecord } from './zone-record.ts';
import type { ZoneTree } from './zone-tree.ts';

/** What the store does for them. */
export interface ServiceZones {
  create(name: string): Zone;
  remove(zone: Zone): void;
  /** The names of the zone are others now. */
  changed(zone: Zone): void;
}

/**
 * Keeps the names of services, whatever becomes of the zones around them: each stands in the deepest zone that is there, and where
 * there is none in a zone of just its name, so that all other names stay the host's. What was set there by configuration or API is
 * stronger. How many there are is the bound of the services (4,096).
 */
export class ServiceNames {
  readonly #tree: ZoneTree;
  readonly #zones: ServiceZones;
  /** By key. */
  readonly #names = new Map<string, { readonly address: number; zone: Zone }>();
  /** Zones that are there for one name alone. */
  readonly #ownZones = new Set<string>();

  constructor(tree: ZoneTree, zones: ServiceZones) {
    this.#tree = tree;
    this.#zones = zones;
  }

  /** Zones that nobody set. */
  get zoneCount(): number {
    return this.#ownZones.size;
  }

  /** The zone is there for a service's name alone. */
  isOwnZone(name: string): boolean {
    return this.#ownZones.has(name);
  }

  /** The zone that decides about a name, those for services alone aside. */
  zoneOf(key: string): Zone | undefined {
    let zone = this.#tree.of(key);
    while (zone !== undefined && this.#ownZones.has(zone.name)) {
      zone = zone.name === '' ? undefined : this.#tree.of(parentKey(zone.name));
    }
    return zone;
  }

  set(key: string, address: number): void {
    if (this.#names.get(key)?.address === address) return;
    this.end(key);
    this.#place(key, address);
  }

  end(key: string): void {
    const zone = this.#names.get(key)?.zone;
    if (zone === undefined) return;
    this.#names.delete(key);
    this.#leave(key, zone);
  }

  /** A zone was set: it decides about the names in it from now on. */
  taken(zone: Zone): void {
    this.#ownZones.delete(zone.name);
    for (const [key, { address, zone: before }] of [...this.#names]) {
      if (before === zone || !isAtOrBelow(key, zone.name) || this.zoneOf(key) !== zone) continue;
      this.#leave(key, before);
      this.#place(key, address);
    }
  }

  /** A zone is gone: its names stand elsewhere from now on. */
  left(zone: Zone): void {
    for (const [key, { address, zone: before }] of [...this.#names]) if (before === zone) this.#place(key, address);
  }

  #place(key: string, address: number): void {
    let zone = this.zoneOf(key);
    if (zone === undefined) {
      zone = this.#zones.create(key);
      this.#ownZones.add(key);
    }
    zone.add('service', storedRecord(zone.name, { name: `${key}.`, data: { type: 'A', address } }));
    this.#names.set(key, { address, zone });
    this.#zones.changed(zone);
  }

  #leave(key: string, zone: Zone): void {
    zone.remove('service', key, () => true);
    if (this.#ownZones.delete(zone.name)) this.#zones.remove(zone);
    else this.#zones.changed(zone);
  }
}
