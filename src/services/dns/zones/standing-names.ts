import { GUEST_ZONE } from '../../../facts/own-names.ts';
import { STANDING_ORIGINS, type StandingOrigin, type Zone } from './zone.ts';
import { isAtOrBelow, parentKey } from './zone-names.ts';
import { storedRecord } from './zone-record.ts';
import type { ZoneTree } from './zone-tree.ts';

/** What the store does for standing names. */
interface StandingZones {
  create(name: string): Zone;
  remove(zone: Zone): void;
  /** A name of the zone means another address now. */
  changed(zone: Zone, origin: StandingOrigin): void;
}

/** One name, and its address by each origin. */
interface StandingName {
  readonly key: string;
  readonly claims: Partial<Record<StandingOrigin, number | undefined>>;
  /** Where it stands; undefined for a guest's name that a given zone hides. */
  zone: Zone | undefined;
}

/**
 * The names that Slipway has by itself, whatever becomes of the zones around them: each stands in the deepest zone that
 * is there, and what was given there by configuration or API hides it. A service's name without a zone has one of just
 * its name, so that all other names stay the host's. Guests choose their own names, so these never appear outside the
 * guest zone.
 *
 * Bounds: 4,096 services, 65,536 leases, and the built-in names.
 */
export class StandingNames {
  readonly #tree: ZoneTree;
  readonly #zones: StandingZones;
  readonly #names = new Map<string, StandingName>();
  /** Zones that exist for one service's name alone. */
  readonly #ownZones = new Set<string>();

  constructor(tree: ZoneTree, zones: StandingZones) {
    this.#tree = tree;
    this.#zones = zones;
  }

  /** How many zones are there for a service's name alone. */
  get zoneCount(): number {
    return this.#ownZones.size;
  }

  /** Whether the zone exists for a service's name alone. */
  isOwnZone(name: string): boolean {
    return this.#ownZones.has(name);
  }

  /** The zone that answers for a name, not counting those of services alone. */
  zoneOf(key: string): Zone | undefined {
    let zone = this.#tree.of(key);
    while (zone !== undefined && this.#ownZones.has(zone.name)) {
      zone = zone.name === '' ? undefined : this.#tree.of(parentKey(zone.name));
    }
    return zone;
  }

  /** Makes a name (a key) mean an address, or no address any more. */
  set(origin: StandingOrigin, key: string, address: number | undefined): void {
    const name = this.#names.get(key) ?? { key, claims: {}, zone: undefined };
    if (name.claims[origin] === address) return;
    name.claims[origin] = address;
    if (strongest(name) === undefined) this.#names.delete(key);
    else this.#names.set(key, name);
    this.#place(name);
  }

  /** A zone was given: from now on it answers for the names in it. */
  taken(zone: Zone): void {
    this.#ownZones.delete(zone.name);
    for (const name of this.#names.values()) if (isAtOrBelow(name.key, zone.name)) this.#place(name);
  }

  /** A zone is gone: its names move to other zones. */
  left(zone: Zone): void {
    for (const name of this.#names.values()) {
      if (!isAtOrBelow(name.key, zone.name)) continue;
      if (name.zone === zone) name.zone = undefined;
      this.#place(name);
    }
  }

  /** Puts a name where it belongs now. */
  #place(name: StandingName): void {
    const { key, claims, zone: before } = name;
    const origin = strongest(name);
    const zone = origin === undefined ? undefined : this.#home(key, origin);
    if (before !== undefined && before !== zone) this.#leave(name, before);
    if (zone === undefined || origin === undefined) return;
    const record = storedRecord(zone.name, { name: `${key}.`, data: { type: 'A', address: claims[origin]! } });
    name.zone = zone;
    if (zone.stand(key, { ...record, origin })) this.#zones.changed(zone, origin);
  }

  #home(key: string, origin: StandingOrigin): Zone | undefined {
    const zone = this.zoneOf(key);
    if (origin === 'guest') return zone?.name === GUEST_ZONE ? zone : undefined;
    if (zone !== undefined) return zone;
    if (this.#ownZones.has(key)) return this.#tree.get(key);
    this.#ownZones.add(key);
    return this.#zones.create(key);
  }

  #leave(name: StandingName, zone: Zone): void {
    name.zone = undefined;
    const origin = zone.node(name.key)?.standing?.origin;
    zone.stand(name.key, undefined);
    if (this.#ownZones.delete(zone.name)) this.#zones.remove(zone);
    else if (origin !== undefined) this.#zones.changed(zone, origin);
  }
}

function strongest({ claims }: StandingName): StandingOrigin | undefined {
  return STANDING_ORIGINS.find((origin) => claims[origin] !== undefined);
}
