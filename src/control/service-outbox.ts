import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { GatewayServices, ServiceClient } from '../env/gateway-services.ts';
import { Tally } from '../turn/tally.ts';
import type { ServiceDatagram } from './thread-mail.ts';
import type { ThreadState } from './thread-state.ts';
import type { TurnBatch } from './turn-batch.ts';

/**
 * Datagrams on their way that control has not yet taken: 1,024 of 64 KiB are 64 MiB at worst; a flood beyond is
 * dropped.
 */
const MAX_WAITING = 1024;
/** Of these, so many may be one guest's: one that floods leaves a quarter to all others. */
const MAX_WAITING_OF_GUEST = (3 * MAX_WAITING) / 4;

/**
 * Guests' datagrams for gateway services, on their way to the control thread. When control falls behind, further ones
 * are dropped (counted as 'service-busy'), and first those of a guest that has three quarters of the queue.
 */
export class ServiceOutbox implements GatewayServices {
  readonly #arena: Arena;
  readonly #counters: Counters;
  readonly #state: ThreadState;
  readonly #batch: TurnBatch<ServiceDatagram>;
  /** Datagrams ever queued, modulo 2^32, to compare with `ThreadState.taken`. */
  #queued = 0;
  /** So many of them are known to have been taken. */
  #taken = 0;
  /**
   * Who sent what waits, a ring by `#queued`; and how many of each guest are in it. A guest is its attachment: it has
   * any number of addresses.
   */
  readonly #senders: string[] = new Array<string>(MAX_WAITING).fill('');
  readonly #waiting = new Tally<string>();

  constructor(arena: Arena, counters: Counters, state: ThreadState, batch: TurnBatch<ServiceDatagram>) {
    this.#arena = arena;
    this.#counters = counters;
    this.#state = state;
    this.#batch = batch;
  }

  datagram(service: string, client: ServiceClient, at: number, length: number): void {
    const { attachment, guestAddress, guestPort, gatewayAddress, gatewayPort } = client;
    this.#forgetTaken();
    const isFull = ((this.#queued - this.#taken) | 0) >= MAX_WAITING;
    if (isFull || this.#waiting.of(attachment) >= MAX_WAITING_OF_GUEST) {
      this.#counters.add('service-busy');
      return;
    }
    this.#senders[this.#queued & (MAX_WAITING - 1)] = attachment;
    this.#waiting.add(attachment);
    this.#queued = (this.#queued + 1) | 0;
    const bytes = this.#arena.bytes.slice(at, at + length);
    this.#batch.add({ service, attachment, guestAddress, guestPort, gatewayAddress, gatewayPort, bytes });
  }

  #forgetTaken(): void {
    const { taken } = this.#state;
    for (; this.#taken !== taken && this.#taken !== this.#queued; this.#taken = (this.#taken + 1) | 0) {
      this.#waiting.drop(this.#senders[this.#taken & (MAX_WAITING - 1)]!);
    }
  }
}
