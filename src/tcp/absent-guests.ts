import type { Port } from '../link/port.ts';
import { Timer } from '../turn/timers.ts';
import type { Turn } from '../turn/turn.ts';
import type { TcpConnection } from './connection.ts';
import { SLICE, SLICE_MS } from './restarted-guests.ts';
import { isOver } from './state.ts';

/**
 * A guest that returns within this finds its flows as they were: a VM that restarts its network, a daemon's supervisor.
 */
const ABSENCE_MS = 600_000;
/** How soon after its return a guest's flows go on, where it has nothing to say itself. */
const LOOK_MS = 1_000;

/**
 * Flows whose guest left the link. TCP's own timers are no help there: an idle flow is not looked at for two hours, and
 * its host socket with it; what came for a guest while it was away waits for an acknowledgement that the guest does not
 * owe. Bounded by the flow table, where they are the first to go; costs nothing while everyone is there.
 */
export class AbsentGuests {
  readonly #turn: Turn;
  readonly #setWanted: (flow: TcpConnection, isWanted: boolean) => void;
  readonly #since = new Map<TcpConnection, number>();
  readonly #look: Timer = new Timer(() => this.#lookAround());

  /** @param setWanted hears whether the guest of a flow is there. */
  constructor(turn: Turn, setWanted: (flow: TcpConnection, isWanted: boolean) => void) {
    this.#turn = turn;
    this.#setWanted = setWanted;
  }

  /** The guest behind `port` left: those of `flows` that are its own wait. */
  left(port: Port, flows: Iterable<TcpConnection>): void {
    for (const flow of flows) {
      if (flow.neighbor.port !== port) continue;
      this.#since.set(flow, this.#turn.nowMs);
      this.#setWanted(flow, false);
    }
    if (this.#since.size > 0) this.#turn.timers.arm(this.#look, LOOK_MS);
  }

  /** A slice of those whose wait is over, so that a guest with thousands of flows returns to no one's cost. */
  #lookAround(): void {
    let left = SLICE;
    for (const [flow, sinceMs] of this.#since) {
      const over = isOver(flow.state);
      const here = flow.neighbor.port.attached;
      const gone = this.#turn.nowMs - sinceMs >= ABSENCE_MS;
      if (!over && !here && !gone) continue;
      this.#since.delete(flow);
      if (over) continue;
      left--;
      if (here) {
        this.#setWanted(flow, true);
        flow.guestReturned();
      } else flow.guestGone();
      if (left === 0) break;
    }
    if (this.#since.size > 0) this.#turn.timers.arm(this.#look, left === 0 ? SLICE_MS : LOOK_MS);
  }
}
