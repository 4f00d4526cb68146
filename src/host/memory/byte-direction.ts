import { ReceiveQueue } from '../receive-queue.ts';

/**
 * One direction of an in-memory connection: bytes wait at the sender until the receiver's buffer has room, then a FIN
 * follows.
 */
export class ByteDirection {
  /** With the receiver, not yet taken. */
  readonly arrived: ReceiveQueue = new ReceiveQueue();
  /** The FIN reached the receiver, behind all that `arrived` holds. */
  finArrived = false;
  readonly #sending = new ReceiveQueue();
  readonly #receiveBytes: number;
  #fin = false;

  /** @param receiveBytes bound of what the receiver holds unread */
  constructor(receiveBytes: number) {
    this.#receiveBytes = receiveBytes;
  }

  /** Bytes that still wait at the sender. */
  get sendingBytes(): number {
    return this.#sending.length;
  }

  /** The same, and the FIN. */
  get unarrived(): number {
    return this.#sending.length + (this.#fin && !this.finArrived ? 1 : 0);
  }

  /** The sender ended it; nothing can be sent any more. */
  get ended(): boolean {
    return this.#fin;
  }

  /** Keeps `bytes`. */
  send(bytes: Uint8Array): void {
    if (!this.#fin) this.#sending.push(bytes);
  }

  end(): void {
    this.#fin = true;
  }

  /** Lets go of what has not arrived. */
  discard(): void {
    this.#sending.clear();
  }

  /** Moves what the receiver has room for; true when something arrived, the FIN included. */
  move(): boolean {
    const length = Math.min(this.#sending.length, this.#receiveBytes - this.arrived.length);
    if (length > 0) {
      const bytes = new Uint8Array(length);
      this.#sending.copy(0, bytes, 0, length);
      this.#sending.consume(length);
      this.arrived.push(bytes);
    }
    const finArrives = this.#fin && !this.finArrived && this.#sending.length === 0;
    if (finArrives) this.finArrived = true;
    return length > 0 || finArrives;
  }
}
