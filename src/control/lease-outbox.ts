import type { LeaseChange } from '../dhcp/lease-record.ts';
import type { Work } from '../turn/ready-queue.ts';
import type { Turn } from '../turn/turn.ts';
import type { FromNetwork } from './messages.ts';

/** Changes of leases on their way to the control thread: one message carries all of a turn, however many clients a guest makes up. */
export class LeaseOutbox {
  readonly #tell: (message: FromNetwork) => void;
  readonly #flush: Work = { queued: false, work: () => this.#send() };
  #turn: Turn | undefined;
  #changes: LeaseChange[] = [];

  constructor(tell: (message: FromNetwork) => void) {
    this.#tell = tell;
  }

  /** The turn at whose end the batch leaves. */
  flushWith(turn: Turn): void {
    this.#turn = turn;
  }

  add(change: LeaseChange): void {
    this.#changes.push(change);
    this.#turn?.flushes.add(this.#flush);
  }

  #send(): void {
    const changes = this.#changes;
    this.#changes = [];
    this.#tell({ type: 'leases', changes });
  }
}
