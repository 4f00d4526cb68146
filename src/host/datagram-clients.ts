/**
 * The clients of one UDP server, each by a handle: the table holds what an answer needs. Bounded: a new
 * client takes the place of the one that was silent for longest, whose handle then reaches no one (a handle is a place
 * and how often it was taken). A client that comes back gets a new handle, and its guest sees a new flow.
 *
 * A key is `CLIENT_WORDS` words of the engine's own making (socket, port, addresses). Nothing is allocated per
 * datagram.
 */
import { randomInt } from 'node:crypto';

/** Words of a key. */
export const CLIENT_WORDS = 12;
/** Clients of one server: as many flows as NAT tables of small routers have, in 270 KB. */
const MAX_CLIENTS = 4096;

const FIRST_PLACES = 64;
const PLACE_BITS = 12;
const PLACE_MASK = (1 << PLACE_BITS) - 1;
const GENERATION_MASK = (1 << (31 - PLACE_BITS)) - 1;

/** The place of a client in the table, below 4,096: where an engine keeps what else it knows of the client. */
export function clientPlace(handle: number): number {
  return handle & PLACE_MASK;
}

export class DatagramClients {
  /** What `find` looks for; filled by the caller. */
  readonly key: Int32Array = new Int32Array(CLIENT_WORDS);
  readonly #max: number;
  /** Nobody outside can choose addresses that fall into one bucket. */
  readonly #seed = randomInt(2 ** 32);
  #places = 0;
  #used = 0;
  /** Keys by place; `at(handle)` says where. */
  words: Int32Array = new Int32Array(0);
  #generations = new Int32Array(0);
  /** Chains of equal hashes: the first place of each bucket, and the next of each place; −1 ends. */
  #buckets = new Int32Array(0);
  #chain = new Int32Array(0);
  /** A ring in order of use: place `#places` is its head, behind which the last used stands. */
  #newer = new Int32Array(0);
  #older = new Int32Array(0);

  /** @param max most clients at a time, at most 4,096 */
  constructor(max: number = MAX_CLIENTS) {
    this.#max = Math.min(max, MAX_CLIENTS);
    this.#grow(Math.min(FIRST_PLACES, this.#max));
  }

  /** Clients now. */
  get size(): number {
    return this.#used;
  }

  /** The handle (≥ 0) of the client whose key is in `key`; it is the last used from now on. */
  find(): number {
    const bucket = this.#bucketOfKey();
    for (let place = this.#buckets[bucket] as number; place >= 0; place = this.#chain[place] as number) {
      if (!this.#hasKey(place)) continue;
      this.#use(place);
      return this.#handle(place);
    }
    return this.#handle(this.#add());
  }

  /** Where the key of `handle` starts in `words`, and it is the last used from now on; −1 when it is gone. */
  at(handle: number): number {
    const place = clientPlace(handle);
    if (handle < 0 || place >= this.#used || this.#generations[place] !== handle >>> PLACE_BITS) return -1;
    this.#use(place);
    return place * CLIENT_WORDS;
  }

  #handle(place: number): number {
    return ((this.#generations[place] as number) << PLACE_BITS) | place;
  }

  /** A place for the client in `key`: a free one, or that of the client that was silent for longest. */
  #add(): number {
    if (this.#used === this.#places && this.#places < this.#max) this.#grow(Math.min(this.#places * 2, this.#max));
    let place = this.#used;
    if (place < this.#places) this.#used++;
    else {
      place = this.#newer[this.#places] as number;
      this.#unchain(place);
      this.#generations[place] = ((this.#generations[place] as number) + 1) & GENERATION_MASK;
    }
    this.words.set(this.key, place * CLIENT_WORDS);
    this.#enchain(place);
    this.#use(place);
    return place;
  }

  #use(place: number): void {
    const head = this.#places;
    if (this.#older[head] === place) return;
    this.#unlink(place);
    const last = this.#older[head] as number;
    this.#newer[last] = place;
    this.#older[place] = last;
    this.#newer[place] = head;
    this.#older[head] = place;
  }

  /** Out of the ring; a place that never was in it is linked to itself. */
  #unlink(place: number): void {
    const newer = this.#newer[place] as number;
    const older = this.#older[place] as number;
    this.#older[newer] = older;
    this.#newer[older] = newer;
  }

  #enchain(place: number): void {
    const bucket = this.#bucketOf(this.words, place * CLIENT_WORDS);
    this.#chain[place] = this.#buckets[bucket] as number;
    this.#buckets[bucket] = place;
  }

  #unchain(place: number): void {
    const bucket = this.#bucketOf(this.words, place * CLIENT_WORDS);
    if (this.#buckets[bucket] === place) {
      this.#buckets[bucket] = this.#chain[place] as number;
      return;
    }
    let before = this.#buckets[bucket] as number;
    while (this.#chain[before] !== place) before = this.#chain[before] as number;
    this.#chain[before] = this.#chain[place] as number;
  }

  #hasKey(place: number): boolean {
    const from = place * CLIENT_WORDS;
    for (let i = 0; i < CLIENT_WORDS; i++) if (this.words[from + i] !== this.key[i]) return false;
    return true;
  }

  #bucketOfKey(): number {
    return this.#bucketOf(this.key, 0);
  }

  #bucketOf(words: Int32Array, at: number): number {
    let hash = this.#seed;
    for (let i = 0; i < CLIENT_WORDS; i++) {
      hash = Math.imul(hash ^ (words[at + i] as number), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return (hash >>> 0) % this.#buckets.length;
  }

  /** More places; clients in the table keep theirs, and their turn. */
  #grow(places: number): void {
    const inOrder: number[] = [];
    for (let place = this.#newer[this.#places]; inOrder.length < this.#used; place = this.#newer[place as number]) {
      inOrder.push(place as number);
    }
    this.#places = places;
    this.words = grown(this.words, places * CLIENT_WORDS);
    this.#generations = grown(this.#generations, places);
    this.#chain = new Int32Array(places);
    this.#buckets = new Int32Array(places * 2 - 1).fill(-1);
    this.#newer = Int32Array.from({ length: places + 1 }, (_, i) => i);
    this.#older = this.#newer.slice();
    for (const place of inOrder) {
      this.#enchain(place);
      this.#use(place);
    }
  }
}

function grown(from: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const to = new Int32Array(length);
  to.set(from);
  return to;
}
