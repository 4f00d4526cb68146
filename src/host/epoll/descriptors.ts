/**
 * Which raw descriptors the network thread holds, in memory that both threads see: descriptors outlive a Worker, so
 * when it dies the control thread closes the flows and hands taps, listeners and guests on.
 */

/** flow: a socket of the host; guest: an attached guest's stream; other: epoll, eventfd and the like. */
export const DESCRIPTOR_KINDS = ['free', 'flow', 'tap', 'listener', 'guest', 'other'] as const;
export type DescriptorKind = Exclude<(typeof DESCRIPTOR_KINDS)[number], 'free'>;

/** One byte a descriptor; one beyond is not recorded, and then a crash of the network thread leaves it open. */
const MAX_DESCRIPTORS = 1 << 20;

export class DescriptorTable {
  /** Given to the other thread, which makes its own DescriptorTable over it. */
  readonly buffer: SharedArrayBuffer;
  readonly #kinds: Uint8Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(MAX_DESCRIPTORS)) {
    this.buffer = buffer;
    this.#kinds = new Uint8Array(buffer);
  }

  record(fd: number, kind: DescriptorKind): void {
    if (fd < this.#kinds.length) Atomics.store(this.#kinds, fd, DESCRIPTOR_KINDS.indexOf(kind));
  }

  /** Call before close(): afterwards the number may already belong to someone else. */
  forget(fd: number): void {
    if (fd < this.#kinds.length) Atomics.store(this.#kinds, fd, 0);
  }

  kind(fd: number): DescriptorKind | undefined {
    const kind = DESCRIPTOR_KINDS[this.#kinds[fd] ?? 0];
    return kind === 'free' ? undefined : kind;
  }

  /** All recorded descriptors of these kinds, ascending. */
  list(...kinds: readonly DescriptorKind[]): number[] {
    const found: number[] = [];
    for (let fd = 0; fd < this.#kinds.length; fd++) {
      const kind = this.#kinds[fd] === 0 ? undefined : this.kind(fd);
      if (kind !== undefined && kinds.includes(kind)) found.push(fd);
    }
    return found;
  }
}
