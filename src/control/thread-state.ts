/**
 * Words that both threads see without any mail, because they must be read and written while the other one is asleep,
 * stuck or dead. (Stop word and heartbeat are the loop's own: `host/epoll/loop.ts`.)
 */
const WORD = {
  /** Written by the network thread: 1 when its loop has ended and no system call holds it any more. */
  ended: 0,
  /** Written by control: datagrams for gateway services that it has taken off its port, modulo 2^32. */
  taken: 1,
  /** Written by control: what a test wants to go wrong (index in `FAULTS`). */
  fault: 2,
  /** Written by the network thread as it ends: connections that it reset itself, which control could not. */
  reset: 3,
  /** Written by the network thread as it begins: what the kernel calls it (`ownThreadId`). */
  thread: 4,
  /** Written by control: 1 while debug logs are wanted. */
  debug: 5,
} as const;

/** What a test can make the loop do: throw out of it, never come back, or sit in one system call for ever. */
export const FAULTS = ['none', 'throw', 'spin', 'block'] as const;
export type Fault = (typeof FAULTS)[number];

export class ThreadState {
  /** Given to the other thread, which makes its own ThreadState over it. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(Object.keys(WORD).length * 4)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** The loop has ended: the thread can be joined. */
  setEnded(): void {
    Atomics.store(this.#words, WORD.ended, 1);
    Atomics.notify(this.#words, WORD.ended);
  }

  get ended(): boolean {
    return Atomics.load(this.#words, WORD.ended) === 1;
  }

  /** Blocks the calling thread until the loop has ended, `timeoutMs` at most; whether it has. */
  waitForEnd(timeoutMs: number): boolean {
    Atomics.wait(this.#words, WORD.ended, 0, timeoutMs);
    return this.ended;
  }

  addTaken(count: number): void {
    Atomics.add(this.#words, WORD.taken, count);
  }

  get taken(): number {
    return Atomics.load(this.#words, WORD.taken);
  }

  setReset(flows: number): void {
    Atomics.store(this.#words, WORD.reset, flows);
  }

  get reset(): number {
    return Atomics.load(this.#words, WORD.reset);
  }

  setThread(id: number): void {
    Atomics.store(this.#words, WORD.thread, id);
  }

  /** 0 until it runs, and where the kernel does not tell. */
  get thread(): number {
    return Atomics.load(this.#words, WORD.thread);
  }

  setDebug(wanted: boolean): void {
    Atomics.store(this.#words, WORD.debug, wanted ? 1 : 0);
  }

  get debug(): boolean {
    return Atomics.load(this.#words, WORD.debug) === 1;
  }

  setFault(fault: Fault): void {
    Atomics.store(this.#words, WORD.fault, FAULTS.indexOf(fault));
  }

  get fault(): Fault {
    return FAULTS[Atomics.load(this.#words, WORD.fault)] ?? 'none';
  }
}
