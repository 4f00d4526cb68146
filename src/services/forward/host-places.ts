import type { ForwardSpec } from '../../config/forward.ts';
import { overlap } from './overlap.ts';

/** Ports that stand together: a range of all has 1,024 shelves, a port one. */
const SHELF_BITS = 6;

/** Forwards by their host ends, so that the one in the way of another is found without looking at all of them. */
export class HostPlaces<T> {
  readonly #specOf: (one: T) => ForwardSpec;
  readonly #shelves = new Map<string, Set<T>>();
  readonly #shelvesOf = new Map<T, readonly string[]>();

  constructor(specOf: (one: T) => ForwardSpec) {
    this.#specOf = specOf;
  }

  /** Puts it where its specification says, also when that is elsewhere than before. */
  put(one: T): void {
    this.delete(one);
    const shelves = shelvesOf(this.#specOf(one));
    this.#shelvesOf.set(one, shelves);
    for (const shelf of shelves) this.#shelves.set(shelf, (this.#shelves.get(shelf) ?? new Set()).add(one));
  }

  delete(one: T): void {
    for (const shelf of this.#shelvesOf.get(one) ?? []) {
      const there = this.#shelves.get(shelf);
      there?.delete(one);
      if (there?.size === 0) this.#shelves.delete(shelf);
    }
    this.#shelvesOf.delete(one);
  }

  /** One that the kernel would refuse beside `spec`. */
  inTheWayOf(spec: ForwardSpec): T | undefined {
    for (const shelf of shelvesOf(spec)) {
      for (const one of this.#shelves.get(shelf) ?? []) if (overlap(this.#specOf(one), spec)) return one;
    }
    return undefined;
  }
}

function shelvesOf({ protocol, host, count }: ForwardSpec): string[] {
  if (host.kind === 'unix') return [`unix ${host.path}`];
  const first = host.port >> SHELF_BITS;
  const last = (host.port + count - 1) >> SHELF_BITS;
  return Array.from({ length: last - first + 1 }, (_, index) => `${protocol} ${first + index}`);
}
