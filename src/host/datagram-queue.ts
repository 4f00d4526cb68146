import type { DatagramBatch, HostAddress } from '../env/host.ts';

/** As a socket's receive buffer: datagrams, and bytes of theirs, that have arrived and are not taken yet. */
const MAX_WAITING = 1024;
const MAX_WAITING_BYTES = 4 << 20;

/** A datagram and where it came from. */
export interface ArrivedDatagram {
  readonly bytes: Uint8Array;
  readonly address: HostAddress;
  readonly port: number;
  /** Type of service; 0 where the engine cannot tell. */
  readonly tos?: number;
}

/** Datagrams between an engine whose sockets push them and a network that takes them in its turn. */
export class DatagramQueue<T extends ArrivedDatagram = ArrivedDatagram> {
  #waiting: T[] = [];
  #bytes = 0;

  /** False when the queue is full: the datagram is lost. */
  push(datagram: T): boolean {
    const { length } = datagram.bytes;
    if (this.#waiting.length >= MAX_WAITING || this.#bytes + length > MAX_WAITING_BYTES) return false;
    this.#waiting.push(datagram);
    this.#bytes += length;
    return true;
  }

  /**
   * Takes the oldest datagrams, `count` at most: number i goes to `arena` at `at + i * slotBytes`, cut to `slotBytes`,
   * and into `batch`. Returns them.
   */
  take(arena: Uint8Array, batch: DatagramBatch, at: number, slotBytes: number, count: number): readonly T[] {
    const taken = this.#waiting.splice(0, count);
    for (let i = 0; i < taken.length; i++) {
      const { bytes, address, port, tos = 0 } = taken[i] as T;
      const length = Math.min(bytes.length, slotBytes);
      arena.set(bytes.subarray(0, length), at + i * slotBytes);
      this.#bytes -= bytes.length;
      batch.at[i] = at + i * slotBytes;
      batch.length[i] = length;
      batch.address[i] = address;
      batch.port[i] = port;
      batch.tos[i] = tos;
    }
    batch.count = taken.length;
    return taken;
  }

  clear(): void {
    this.#waiting = [];
    this.#bytes = 0;
  }
}
