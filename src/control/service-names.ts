import type { ZoneStore } from '../services/dns/zones/zone-store.ts';
import type { ServiceNames } from '../services/forward/edges.ts';

/** Names of virtual addresses as records of the internal DNS server. */
export function serviceNames(zones: ZoneStore): ServiceNames {
  /** Zones that are there for one name alone. */
  const made = new Set<string>();
  return {
    add: (name, address) => {
      const zone = zoneOf(zones, name);
      const record = { name: '@', data: { type: 'A', address } } as const;
      if (zone === undefined) {
        zones.setZone({ name, records: [record] });
        made.add(name);
      } else zones.addRecords(zone, [{ ...record, name: below(name, zone) }]);
    },
    remove: (name, address) => {
      const zone = zoneOf(zones, name);
      if (zone === undefined) return;
      zones.removeRecords(zone, [{ name: below(name, zone), data: { type: 'A', address } }]);
      const left = zones.list().find((one) => one.name === zone);
      if (left?.records.length === 0 && made.delete(zone)) zones.removeZone(zone);
    },
  };
}

/** The deepest zone that holds the name. */
function zoneOf(zones: ZoneStore, name: string): string | undefined {
  return zones
    .list()
    .map((zone) => zone.name)
    .filter((zone) => name === zone || name.endsWith(`.${zone}`))
    .sort((a, b) => b.length - a.length)[0];
}

function below(name: string, zone: string): string {
  return name === zone ? '@' : name.slice(0, -zone.length - 1);
}
