import type { Socket } from 'node:net';
import type { Counters } from '../env/counters.ts';
import { StreamMessages, withLength } from '../services/dns/upstream/stream-messages.ts';
import type { DnsExchange, DnsFront } from './dns-front.ts';

/**
 * Questions of one connection that may be unanswered (RFC 7766 §6.2.1.1 wants them taken together); then it is not
 * read.
 */
const MAX_PIPELINED = 64;
/** RFC 7766 §6.2.3 wants idle connections closed in the order of seconds. */
const IDLE_MS = 10_000;

/** One asker's TCP connection: questions as they come, answers as they come, in any order (RFC 7766 §6.2.1.1). */
export class DnsConversation {
  readonly #socket: Socket;
  readonly #front: DnsFront;
  readonly #exchange: DnsExchange;
  readonly #messages = new StreamMessages();
  /** Asked, and the answer is not with the kernel yet: an asker who does not read is not read either. */
  #unanswered = 0;
  #asksNoMore = false;

  constructor(socket: Socket, front: DnsFront, exchange: DnsExchange, counters: Counters) {
    this.#socket = socket;
    this.#front = front;
    this.#exchange = exchange;
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on('error', () => counters.add('connection-fault'));
    socket.on('data', (bytes) => {
      this.#messages.push(bytes);
      this.#takeQuestions();
    });
    socket.on('end', () => {
      this.#asksNoMore = true;
      this.#takeQuestions();
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #takeQuestions(): void {
    while (this.#unanswered < MAX_PIPELINED) {
      const message = this.#messages.next();
      if (message === undefined) {
        this.#socket.resume();
        if (this.#asksNoMore && this.#unanswered === 0) this.#socket.end();
        return;
      }
      const answer = this.#front.answer(message, this.#exchange);
      if (answer === undefined) continue;
      this.#unanswered++;
      if (answer instanceof Promise) void answer.then((bytes) => this.#send(bytes));
      else this.#send(answer);
    }
    this.#socket.pause();
  }

  #send(answer: Uint8Array): void {
    // After the end of the socket the callback comes at once, with an error that the socket's own listener has seen.
    this.#socket.write(withLength(answer), () => {
      this.#unanswered--;
      if (!this.#socket.destroyed) this.#takeQuestions();
    });
  }
}
