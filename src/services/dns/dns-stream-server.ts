import type { Server, Socket } from 'node:net';
import type { Counters } from '../../env/counters.ts';
import { GuestListener } from '../guest-listener.ts';
import type { DnsTransport } from './dns-query.ts';
import { StreamMessages, withLength } from './upstream/stream-messages.ts';

/** How many questions of one connection may wait for answers; with so many, it is not read. */
const MAX_IN_FLIGHT = 32;
/** RFC 7766 §6.2.3 wants idle connections closed in the order of seconds. */
const IDLE_MS = 10_000;
/** The two servers: one answers everything, the other only zones. */
export type DnsServerName = 'all' | 'internal';

/** Answers questions: `DnsService`. */
export interface DnsAnswers {
  answer(
    bytes: Uint8Array,
    guest: string,
    transport: DnsTransport,
    server: DnsServerName,
  ): Uint8Array | undefined | Promise<Uint8Array | undefined>;
}

/**
 * DNS over TCP (RFC 7766). Questions of one connection are answered as the answers come, out of order (§7). A
 * connection that does not read its answers, or has 32 questions on their way, is not read; one that closes its side
 * still hears everything it asked; one that is silent for ten seconds is closed, and so is one that sends something
 * other than a question ('dns-stream-fault'). The caller makes `server` listen.
 */
export class DnsStreamServer {
  readonly #listener: GuestListener;

  constructor(answers: DnsAnswers, name: DnsServerName, counters: Counters) {
    this.#listener = new GuestListener({
      counters,
      refusals: { limit: 'dns-stream-refused', limitOfGuest: 'dns-stream-over-limit', fault: 'dns-stream-fault' },
      serve: (socket, { attachment }) => {
        new Conversation(
          socket,
          (message) => answers.answer(message, attachment, 'tcp', name),
          () => {
            counters.add('dns-stream-fault');
            socket.destroy();
          },
        );
      },
    });
  }

  get server(): Server {
    return this.#listener.server;
  }

  /** Ends listening and every connection. */
  close(): void {
    this.#listener.close();
  }
}

/** One connection of a guest. */
class Conversation {
  readonly #socket: Socket;
  readonly #answer: (message: Uint8Array) => ReturnType<DnsAnswers['answer']>;
  readonly #fault: () => void;
  readonly #messages = new StreamMessages();
  #inFlight = 0;
  #ended = false;

  constructor(socket: Socket, answer: (message: Uint8Array) => ReturnType<DnsAnswers['answer']>, fault: () => void) {
    this.#socket = socket;
    this.#answer = answer;
    this.#fault = fault;
    socket.on('data', (bytes) => this.#read(bytes));
    socket.on('drain', () => this.#pump());
    socket.on('end', () => {
      this.#ended = true;
      this.#pump();
    });
    socket.setTimeout(IDLE_MS).on('timeout', () => {
      // Answers on their way are no idleness, answers that nobody takes are.
      if (this.#inFlight === 0 || socket.writableNeedDrain) socket.destroy();
    });
  }

  #read(bytes: Uint8Array): void {
    this.#messages.push(bytes);
    this.#pump();
  }

  /** Asks what came whole, as far as answers may wait. */
  #pump(): void {
    const socket = this.#socket;
    // Answers that are there at once leave in one piece.
    socket.cork();
    let message: Uint8Array | undefined;
    while (!this.#blocked) {
      message = this.#messages.next();
      if (message === undefined) break;
      this.#ask(message);
    }
    socket.uncork();
    if (socket.destroyed) return;
    if (this.#blocked) socket.pause();
    else if (!this.#ended) socket.resume();
    else if (this.#inFlight === 0) socket.end();
  }

  get #blocked(): boolean {
    const { destroyed, writableNeedDrain } = this.#socket;
    return destroyed || writableNeedDrain || this.#inFlight >= MAX_IN_FLIGHT;
  }

  #ask(message: Uint8Array): void {
    const answer = this.#answer(message);
    if (!(answer instanceof Promise)) {
      this.#reply(answer);
      return;
    }
    this.#inFlight++;
    void answer.then((late) => {
      this.#inFlight--;
      if (this.#socket.destroyed) return;
      this.#reply(late);
      this.#pump();
    });
  }

  #reply(answer: Uint8Array | undefined): void {
    if (answer === undefined) this.#fault();
    else if (!this.#socket.destroyed) this.#socket.write(withLength(answer));
  }
}
