import type { Port } from '../link/port.ts';
import { Timer } from '../turn/timers.ts';
import type { Turn } from '../turn/turn.ts';
import type { TcpConnection } from './connection.ts';

/**
 * From the news to the questions: a DHCP client sets the address that it was given, and until then its kernel answers
 * nothing.
 */
const LOOK_MS = 1_000;
/** One guest is asked again after this at the earliest, however often it says that it has started. */
const REST_MS = 10_000;
/**
 * Flows that are asked in one turn, and the pause until the next of them: 65,536 take a second, and nobody waits for
 * them.
 */
export const SLICE = 256;
export const SLICE_MS = 4;

/**
 * Guests that may have restarted without leaving the link, as a VM does that is reset. Such a guest knows nothing of
 * the flows that it had: those with something in flight learn it from the answer to that, the idle ones would stay for
 * hours. So they are asked; a guest that lives answers, and all goes on.
 */
export class RestartedGuests {
  readonly #turn: Turn;
  readonly #flows: () => Iterable<TcpConnection>;
  /** To be asked: bounded by the ports. */
  readonly #due = new Set<Port>();
  readonly #restUntilMs = new WeakMap<Port, number>();
  /** Found, and not asked yet: bounded by the flow table, since no more are looked for meanwhile. */
  #found: TcpConnection[] = [];
  readonly #timer: Timer = new Timer(() => this.#look());

  constructor(turn: Turn, flows: () => Iterable<TcpConnection>) {
    this.#turn = turn;
    this.#flows = flows;
  }

  /** A guest behind `port` has begun to speak again. */
  started(port: Port): void {
    this.#due.add(port);
    if (!this.#timer.armed) this.#turn.timers.arm(this.#timer, LOOK_MS);
  }

  #look(): void {
    if (this.#found.length === 0) this.#find();
    for (const flow of this.#found.splice(-SLICE)) flow.ask();
    if (this.#found.length > 0) this.#turn.timers.arm(this.#timer, SLICE_MS);
    else if (this.#due.size > 0) this.#turn.timers.arm(this.#timer, LOOK_MS);
  }

  #find(): void {
    const { nowMs } = this.#turn;
    const rested = new Set<Port>();
    for (const port of this.#due) {
      if (port.attached && nowMs < (this.#restUntilMs.get(port) ?? 0)) continue;
      this.#due.delete(port);
      this.#restUntilMs.set(port, nowMs + REST_MS);
      rested.add(port);
    }
    if (rested.size === 0) return;
    for (const flow of this.#flows()) if (rested.has(flow.neighbor.port)) this.#found.push(flow);
  }
}
