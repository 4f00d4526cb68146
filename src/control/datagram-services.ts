import type { ServiceDatagram } from './thread-mail.ts';

/** Takes a guest's datagram to a gateway service; may answer now, later or never. */
export type DatagramService = (datagram: ServiceDatagram, reply: (bytes: Uint8Array) => void) => void;

/** The gateway's UDP services by name. Answers that are given in one turn of Node's loop leave together. */
export class DatagramServices {
  readonly #services: Readonly<Record<string, DatagramService>>;
  readonly #send: (replies: readonly ServiceDatagram[]) => void;
  #replies: ServiceDatagram[] = [];

  constructor(
    services: Readonly<Record<string, DatagramService>>,
    send: (replies: readonly ServiceDatagram[]) => void,
  ) {
    this.#services = services;
    this.#send = send;
  }

  /** Datagrams for services that do not exist go unanswered. */
  serve(datagrams: readonly ServiceDatagram[]): void {
    for (const datagram of datagrams) {
      this.#services[datagram.service]?.(datagram, (bytes) => this.#reply({ ...datagram, bytes }));
    }
  }

  #reply(reply: ServiceDatagram): void {
    if (this.#replies.length === 0) setImmediate(() => this.#flush());
    this.#replies.push(reply);
  }

  #flush(): void {
    const replies = this.#replies;
    this.#replies = [];
    this.#send(replies);
  }
}
