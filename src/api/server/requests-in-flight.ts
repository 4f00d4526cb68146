import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Requests of one connection whose answers have not left: nobody who waits for answers has so many, and node:http
 * begins whatever it reads. Each costs some 20 KB and its answer.
 */
const MAX_IN_FLIGHT = 32;

/** What each connection is about to be answered. */
export class RequestsInFlight {
  readonly #requests = new WeakMap<Socket, number>();

  /**
   * False for one too many: close the connection, since what came in one piece is parsed to its end whatever one does.
   */
  admit({ socket }: IncomingMessage, response: ServerResponse): boolean {
    const before = this.#requests.get(socket) ?? 0;
    if (before >= MAX_IN_FLIGHT) return false;
    this.#requests.set(socket, before + 1);
    // Also when the connection ends first.
    response.once('close', () => this.#requests.set(socket, (this.#requests.get(socket) ?? 1) - 1));
    return true;
  }

  /** Nothing is being answered there. */
  isIdle(socket: Socket): boolean {
    return (this.#requests.get(socket) ?? 0) === 0;
  }

  /** HTTP is over on this connection, which is busy until it ends. */
  takenOver(socket: Socket): void {
    this.#requests.set(socket, Number.POSITIVE_INFINITY);
  }
}
