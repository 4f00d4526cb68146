import { Places } from '../turn/places.ts';

/** One guest leaves so much of all dials (an eighth) to the others. */
const RESERVE_SHIFT = 3;
/**
 * A dial is left alone by others of its own guest for so long after a SYN: the time after which a guest repeats it (RFC
 * 6298 §2.1).
 */
const CHANCE_MS = 1_000;
/** Waits of 2^0 to 2^7 s: the last one is what a kernel waits after its last SYN. */
const LEVELS = 8;

/** Why a guest may not dial now; each is a counter. */
export type DialRefusal = 'tcp-dial-limit' | 'tcp-dial-limit-of-guest';

interface Dial<Flow> {
  readonly flow: Flow;
  readonly owner: string;
  /** When its last SYN came, and the binary logarithm of the seconds within which the next one is expected. */
  heardMs: number;
  level: number;
}

/**
 * Dials in flight, each for a SYN that is held: how many in all, and how many of them one guest may have. A guest is
 * its attachment (`Port.attachment`): it may speak from any address that is free, and may leave and come back.
 *
 * A program that no longer waits says nothing; its kernel just sends no further SYN, while the host's goes on for two
 * minutes. So the dial whose next SYN is due for longest is the least wanted. Dials stand by the time that their guest
 * lets pass between SYNs, and in the order of the last one: the least wanted is at the head of one of the levels.
 */
export class DialLimits<Flow extends object> {
  readonly #places: Places<string>;
  readonly #dials = new Map<Flow, Dial<Flow>>();
  readonly #levels = new Map<string, readonly Set<Dial<Flow>>[]>();

  constructor(limit: number) {
    this.#places = new Places(limit, Math.max(1, limit - (limit >> RESERVE_SHIFT)));
  }

  get inFlight(): number {
    return this.#dials.size;
  }

  /**
   * What has to happen before the guest `owner` dials once more: nothing (undefined), the end of a dial, or, where all
   * that could go have only just begun, a refusal.
   */
  obstacle(owner: string, nowMs: number): Flow | DialRefusal | undefined {
    const payer = this.#places.payer(owner);
    if (payer === undefined) return undefined;
    const flow = this.leastWanted(payer, payer === owner, nowMs);
    return flow ?? (this.#places.isFull ? 'tcp-dial-limit' : 'tcp-dial-limit-of-guest');
  }

  /**
   * The dial of the guest `owner` that is missed least. `own`: for another of the same guest, so the youngest are left
   * alone.
   */
  leastWanted(owner: string, own: boolean, nowMs: number): Flow | undefined {
    let found: Flow | undefined;
    let dueMs = Number.POSITIVE_INFINITY;
    for (const level of this.#levels.get(owner) ?? []) {
      const [head] = level;
      if (head === undefined || (own && nowMs - head.heardMs < CHANCE_MS)) continue;
      const headDueMs = head.heardMs + 1000 * 2 ** head.level;
      if (headDueMs >= dueMs) continue;
      dueMs = headDueMs;
      found = head.flow;
    }
    return found;
  }

  /** `flow`, of the guest `owner`, begins to dial. */
  begin(flow: Flow, owner: string, nowMs: number): void {
    const dial: Dial<Flow> = { flow, owner, heardMs: nowMs, level: 1 };
    this.#dials.set(flow, dial);
    this.#places.add(owner);
    let levels = this.#levels.get(owner);
    if (levels === undefined) {
      levels = Array.from({ length: LEVELS }, () => new Set<Dial<Flow>>());
      this.#levels.set(owner, levels);
    }
    levels[dial.level]?.add(dial);
  }

  /** Its guest sent the SYN again: the next one is expected after twice that time (RFC 6298 §5.5). */
  repeated(flow: Flow, nowMs: number): void {
    const dial = this.#dials.get(flow);
    const levels = dial && this.#levels.get(dial.owner);
    if (dial === undefined || levels === undefined) return;
    levels[dial.level]?.delete(dial);
    const expectedSeconds = Math.max(2, (2 * (nowMs - dial.heardMs)) / 1000);
    dial.level = Math.min(LEVELS - 1, Math.ceil(Math.log2(expectedSeconds)));
    dial.heardMs = nowMs;
    levels[dial.level]?.add(dial);
  }

  end(flow: Flow): void {
    const dial = this.#dials.get(flow);
    if (dial === undefined) return;
    const { owner } = dial;
    const levels = this.#levels.get(owner);
    this.#dials.delete(flow);
    this.#places.drop(owner);
    levels?.[dial.level]?.delete(dial);
    if (levels?.every((level) => level.size === 0)) this.#levels.delete(owner);
  }
}
