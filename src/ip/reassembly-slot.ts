import type { Arena } from '../env/arena.ts';
import type { Port } from '../link/port.ts';
import type { Rank, Shared } from '../turn/shares.ts';
import { Timer } from '../turn/timers.ts';
import { IPV4_MAX_PAYLOAD_BYTES, type Ipv4Header } from '../wire/ipv4.ts';
import type { Neighbor } from './neighbor.ts';

/** Room in front of the payload for the first fragment's header, options included. */
export const SLOT_HEADER_BYTES = 64;
export const SLOT_BYTES: number = SLOT_HEADER_BYTES + 65_536;
/** Pieces apart from each other: a datagram of 65,515 bytes at MTU 576 has 119 fragments, so in the worst order 60. */
const MAX_RANGES = 128;

/** Why a datagram being put together was given up; each is a counter. */
export type FragmentFault =
  | 'reassembly-bad-length'
  | 'reassembly-too-big'
  | 'reassembly-overlap'
  | 'reassembly-too-scattered';

/** One datagram being put together, in its own piece of the arena. */
export class ReassemblySlot implements Shared<Port, ReassemblySlot> {
  /** From `open` on. */
  owner!: Port;
  rank: Rank = 0;
  older: ReassemblySlot | undefined;
  newer: ReassemblySlot | undefined;
  neighbor: Neighbor | undefined;
  destination = 0;
  protocol = 0;
  identification = 0;
  /** Payload bytes of the whole datagram; −1 until the last fragment came. */
  total = -1;
  /** Header bytes of the first fragment; 0 until it came. */
  headerBytes = 0;
  ttl = 0;
  readonly at: number;
  readonly timer: Timer;
  readonly #arena: Arena;
  /** What came, as ranges in ascending order that do not touch. */
  readonly #starts = new Int32Array(MAX_RANGES + 1);
  readonly #ends = new Int32Array(MAX_RANGES + 1);
  #count = 0;

  constructor(arena: Arena, at: number, onTimeout: (slot: ReassemblySlot) => void) {
    this.#arena = arena;
    this.at = at;
    this.timer = new Timer(() => onTimeout(this));
  }

  get payloadAt(): number {
    return this.at + SLOT_HEADER_BYTES;
  }

  get headerAt(): number {
    return this.payloadAt - this.headerBytes;
  }

  get complete(): boolean {
    return this.headerBytes > 0 && this.#count === 1 && this.#starts[0] === 0 && this.#ends[0] === this.total;
  }

  /** Where the bytes that came from the start on end. */
  get contiguousEnd(): number {
    return this.payloadAt + (this.#count > 0 && this.#starts[0] === 0 ? (this.#ends[0] ?? 0) : 0);
  }

  open(header: Ipv4Header, neighbor: Neighbor): void {
    this.owner = neighbor.port;
    this.neighbor = neighbor;
    this.destination = header.destination;
    this.protocol = header.protocol;
    this.identification = header.identification;
    this.total = -1;
    this.headerBytes = 0;
    this.#count = 0;
  }

  matches(header: Ipv4Header, neighbor: Neighbor): boolean {
    return (
      this.identification === header.identification &&
      this.owner === neighbor.port &&
      this.neighbor?.address === neighbor.address &&
      this.destination === header.destination &&
      this.protocol === header.protocol
    );
  }

  /** Takes in the fragment at `at`. 'duplicate': all of it was here before, byte for byte. */
  add(header: Ipv4Header, at: number): FragmentFault | 'duplicate' | undefined {
    const start = header.fragmentOffset;
    const length = header.totalLength - header.headerBytes;
    const end = start + length;
    if (length === 0 || (header.moreFragments && (length & 7) !== 0)) return 'reassembly-bad-length';
    if (end > IPV4_MAX_PAYLOAD_BYTES) return 'reassembly-too-big';
    const came = this.#count === 0 ? 0 : (this.#ends[this.#count - 1] ?? 0);
    if (!header.moreFragments) {
      if ((this.total >= 0 && this.total !== end) || came > end) return 'reassembly-bad-length';
    } else if (this.total >= 0 && end > this.total) {
      return 'reassembly-bad-length';
    }
    const payload = at + header.headerBytes;
    const fault = this.#insert(start, end, payload);
    if (fault !== undefined) return fault;
    const { bytes } = this.#arena;
    if (!header.moreFragments) this.total = end;
    if (start === 0) {
      this.headerBytes = header.headerBytes;
      this.ttl = header.ttl;
      bytes.copyWithin(this.headerAt, at, payload);
    }
    bytes.copyWithin(this.payloadAt + start, payload, payload + length);
    return undefined;
  }

  #insert(start: number, end: number, payload: number): FragmentFault | 'duplicate' | undefined {
    const starts = this.#starts;
    const ends = this.#ends;
    let i = 0;
    while (i < this.#count && (ends[i] ?? 0) < start) i++;
    // Range i is the first that ends at or after our start.
    const touchesLeft = i < this.#count && ends[i] === start;
    const next = touchesLeft ? i + 1 : i;
    if (next < this.#count && (starts[next] ?? 0) < end) {
      const inside = (starts[next] ?? 0) <= start && end <= (ends[next] ?? 0);
      return inside && this.#same(start, end, payload) ? 'duplicate' : 'reassembly-overlap';
    }
    const touchesRight = next < this.#count && starts[next] === end;
    if (touchesLeft && touchesRight) {
      ends[i] = ends[next] ?? 0;
      starts.copyWithin(next, next + 1, this.#count);
      ends.copyWithin(next, next + 1, this.#count);
      this.#count--;
    } else if (touchesLeft) {
      ends[i] = end;
    } else if (touchesRight) {
      starts[next] = start;
    } else {
      if (this.#count === MAX_RANGES) return 'reassembly-too-scattered';
      starts.copyWithin(next + 1, next, this.#count);
      ends.copyWithin(next + 1, next, this.#count);
      starts[next] = start;
      ends[next] = end;
      this.#count++;
    }
    return undefined;
  }

  #same(start: number, end: number, payload: number): boolean {
    const { bytes } = this.#arena;
    for (let i = start; i < end; i++) if (bytes[this.payloadAt + i] !== bytes[payload + i - start]) return false;
    return true;
  }
}
