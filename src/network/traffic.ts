import type { Port } from '../link/port.ts';

/** Frames and bytes of guests that left, and of those that are here; seen from the network. */
export class Traffic {
  #gone: Readonly<Record<string, number>> = {};

  /** Keeps what a guest's port counted. */
  left(port: Port): void {
    this.#gone = this.with([port]);
  }

  /** Since the start. */
  with(ports: readonly Port[]): Readonly<Record<string, number>> {
    const sum = (word: string, count: (port: Port) => number): number =>
      ports.reduce((total, port) => total + count(port), this.#gone[word] ?? 0);
    return {
      'guest-frames-received': sum('guest-frames-received', (port) => port.rxFrames),
      'guest-bytes-received': sum('guest-bytes-received', (port) => port.rxBytes),
      'guest-frames-sent': sum('guest-frames-sent', (port) => port.txFrames),
      'guest-bytes-sent': sum('guest-bytes-sent', (port) => port.txBytes),
    };
  }
}
