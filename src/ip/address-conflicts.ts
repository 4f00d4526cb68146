import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { Log } from '../env/log.ts';
import type { Port } from '../link/port.ts';
import { TokenBuckets } from '../turn/token-buckets.ts';
import { ARP_REQUEST } from '../wire/arp.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { formatMac } from '../wire/mac.ts';
import { ArpOutput } from './arp-output.ts';
import type { Neighbor } from './neighbor.ts';

/**
 * Who does not answer within this is gone, though its connection does not say so yet. A guest that lives answers ARP in
 * well below it.
 */
const ANSWER_MS = 1_000;
/** What a guest is asked at most, however much another claims. */
const QUESTIONS_PER_SECOND = 1;
/** One line for a guest that goes on claiming. */
const LINES_PER_SECOND = 1 / 60;

export interface AddressConflictOptions {
  readonly arena: Arena;
  readonly counters: Counters;
  readonly log: Log;
  readonly gatewayMac: number;
  readonly gatewayAddress: number;
}

/**
 * Two guests with one address: the first keeps it while it is there. It is asked by ARP, to itself; only when it has
 * not been heard a second later does the other one get the address. A guest that plugs in again has its MAC still, or
 * its port: that is no conflict.
 */
export class AddressConflicts {
  readonly #options: AddressConflictOptions;
  readonly #lines = new TokenBuckets(LINES_PER_SECOND, 1);
  readonly #questions = new TokenBuckets(QUESTIONS_PER_SECOND, 1);
  readonly #output: ArpOutput;

  constructor(options: AddressConflictOptions) {
    this.#options = options;
    this.#output = new ArpOutput(options.arena, options.gatewayMac);
  }

  /**
   * The guest at `mac` behind `port` speaks from the address of `known`, which is another guest's. True when it may
   * have it.
   */
  mayTake(known: Neighbor, mac: number, port: Port, nowMs: number): boolean {
    if (!known.port.attached) return true;
    if (known.askedMs >= 0 && nowMs - known.askedMs >= ANSWER_MS) return true;
    const { counters, log } = this.#options;
    counters.add('address-conflict');
    if (this.#lines.take(port, nowMs)) {
      log.warn('two guests have the same address: the first keeps it, and the other is ignored; give it another', {
        address: formatIpv4Address(known.address),
        guest: known.port.attachment,
        other: port.attachment,
        mac: formatMac(mac),
      });
    }
    if (known.askedMs < 0 && this.#questions.take(known.port, nowMs)) this.#ask(known, nowMs);
    return false;
  }

  #ask(known: Neighbor, nowMs: number): void {
    known.askedMs = nowMs;
    const question = this.#output.packet;
    question.operation = ARP_REQUEST;
    question.senderAddress = this.#options.gatewayAddress;
    question.targetAddress = known.address;
    // A guest that takes nothing and says nothing is not there.
    this.#output.send(known.port.outlet, known.mac);
  }
}
