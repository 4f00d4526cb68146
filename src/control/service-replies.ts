import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { CoreNetwork } from '../network/core-network.ts';
import { UDP_HEADER_BYTES, UDP_MAX_PAYLOAD_BYTES } from '../wire/udp.ts';
import type { ServiceDatagram } from './thread-mail.ts';

/** Sends guests what gateway services answered. */
export class ServiceReplies {
  readonly #arena: Arena;
  readonly #counters: Counters;
  readonly #network: CoreNetwork;
  /** Room for one answer; the header goes before it. */
  readonly #at: number;

  /** Throws a RangeError when the arena has no room. */
  constructor(arena: Arena, counters: Counters, network: CoreNetwork) {
    this.#arena = arena;
    this.#counters = counters;
    this.#network = network;
    this.#at = arena.allocate(UDP_HEADER_BYTES + UDP_MAX_PAYLOAD_BYTES) + UDP_HEADER_BYTES;
    if (this.#at < UDP_HEADER_BYTES) throw new RangeError('the arena has no room for answers of gateway services');
  }

  send(reply: ServiceDatagram): void {
    const { bytes } = reply;
    if (bytes.length > UDP_MAX_PAYLOAD_BYTES) {
      this.#counters.add('service-reply-too-big');
      return;
    }
    this.#arena.bytes.set(bytes, this.#at);
    this.#network.replyFromService(reply, this.#at, bytes.length);
  }
}
