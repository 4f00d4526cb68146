import type { Counters } from '../env/counters.ts';
import type { Station, SwitchPort } from './switch-port.ts';

/** 4,096 addresses: a busy bridge inside a guest shows some hundreds; 300 bytes each make 1.2 MB at most. */
export const MAX_STATIONS = 4096;
/** One port may fill a quarter: a guest that invents addresses cannot push all the others out. */
export const MAX_STATIONS_PER_PORT = 1024;
/** IEEE 802.1D §7.9.2: recommended ageing time. */
export const AGEING_MS = 300_000;
/** The order of use is kept to the second, so a stream of frames does not reorder the table each time. */
const REFRESH_MS = 1000;

/**
 * Which MAC address is behind which port (IEEE 802.1D §7.8, §7.9). Learns from source addresses; the entry that was not
 * heard for the longest time goes first, by age or when the table is full. The map's order is the order of last use.
 */
export class ForwardingDatabase {
  readonly #stations = new Map<number, Station>();
  readonly #counters: Counters;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  get size(): number {
    return this.#stations.size;
  }

  /** Notes that `mac` (unicast) sent a frame through `port` now. */
  learn(mac: number, port: SwitchPort, nowMs: number): void {
    const recent = port.recent;
    if (recent !== undefined && recent.mac === mac && recent.port === port && nowMs - recent.seenMs < REFRESH_MS)
      return;
    const known = this.#stations.get(mac);
    if (known === undefined) {
      this.#insert(mac, port, nowMs);
      return;
    }
    if (known.port !== port) this.#move(known, port);
    if (nowMs - known.seenMs >= REFRESH_MS) {
      this.#stations.delete(mac);
      this.#stations.set(mac, known);
      known.seenMs = nowMs;
    }
    port.recent = known;
  }

  /** The port behind which `mac` is; undefined when it was not heard within the ageing time. */
  find(mac: number, nowMs: number): SwitchPort | undefined {
    const station = this.#stations.get(mac);
    if (station === undefined) return undefined;
    if (nowMs - station.seenMs <= AGEING_MS) return station.port;
    this.#remove(station);
    return undefined;
  }

  /** Forgets all that is behind `port`. */
  forget(port: SwitchPort): void {
    for (const station of this.#stations.values()) if (station.port === port) this.#remove(station);
    port.recent = undefined;
  }

  #insert(mac: number, port: SwitchPort, nowMs: number): void {
    if (port.stations >= MAX_STATIONS_PER_PORT || this.#stations.size >= MAX_STATIONS) this.#expire(nowMs);
    if (port.stations >= MAX_STATIONS_PER_PORT) {
      this.#counters.add('switch-port-address-limit');
      return;
    }
    if (this.#stations.size >= MAX_STATIONS) {
      const [oldest] = this.#stations.values();
      if (oldest !== undefined) this.#remove(oldest);
      this.#counters.add('switch-address-evicted');
    }
    const station = { mac, port, seenMs: nowMs };
    this.#stations.set(mac, station);
    port.stations++;
    port.recent = station;
  }

  #move(station: Station, port: SwitchPort): void {
    if (station.port !== undefined) station.port.stations--;
    station.port = port;
    port.stations++;
    this.#counters.add('switch-address-moved');
  }

  /** Removes entries that are too old: they are all at the front. */
  #expire(nowMs: number): void {
    for (const station of this.#stations.values()) {
      if (nowMs - station.seenMs <= AGEING_MS) return;
      this.#remove(station);
    }
  }

  #remove(station: Station): void {
    this.#stations.delete(station.mac);
    if (station.port !== undefined) station.port.stations--;
    station.port = undefined;
  }
}
