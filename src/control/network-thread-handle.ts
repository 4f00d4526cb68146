import { closeSync, writeSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { SlipwayError } from '../facts/errors.ts';
import { type DescriptorKind, DescriptorTable } from '../host/epoll/descriptors.ts';
import { LoopControl } from '../host/epoll/loop.ts';
import type { AnswerOf, OperationName, RequestOf } from './operations.ts';
import {
  type Answer,
  type FromNetwork,
  type NetworkEvents,
  type PlainError,
  type Refusal,
  REQUESTS_PER_MAIL,
  type Request,
  type ServiceDatagram,
  type ThreadData,
  type ToNetwork,
} from './thread-mail.ts';
import { ThreadState } from './thread-state.ts';

/** The entry beside this file: .ts when run from source, .js when built. */
const ENTRY = new URL(`./network-thread${path.extname(fileURLToPath(import.meta.url))}`, import.meta.url);
/**
 * Three semi-spaces of 4 MiB in place of 16. Flows and mappings outlive the collection of what is young, so under a
 * flood of new ones each such collection copies most of it: 2-6 ms, and 7-24 ms with Node's own size. The packet path
 * allocates next to nothing.
 */
const YOUNG_GENERATION_MB = 12;
/** An eventfd takes a u64 to add. */
const ONE = new BigUint64Array([1n]);

export interface ThreadEvents extends NetworkEvents {
  /** The thread ended without having been asked to. Called at most once. */
  died(error: Error): void;
}

interface Pending {
  resolve(answer: unknown): void;
  reject(error: Error): void;
}

/**
 * One life of the network thread, seen from the control thread. A new thread gets a new handle.
 *
 * States: starting → ready → ended (by `stop` or by itself). Requests before ready wait; requests after the end fail.
 */
export class NetworkThreadHandle {
  readonly loop: LoopControl = new LoopControl();
  readonly state: ThreadState = new ThreadState();
  readonly descriptors: DescriptorTable = new DescriptorTable();
  /** Fulfilled when the loop runs; rejected when the thread dies before. */
  readonly ready: Promise<void>;
  /** Fulfilled when the Worker is gone. */
  readonly gone: Promise<void>;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #events: ThreadEvents;
  readonly #pending = new Map<number, Pending>();
  /** Asked in this tick. They leave together: thousands of forwards cost one mail, and one call to wake the loop. */
  #requests: Request[] = [];
  #nextId = 1;
  #wakeDescriptor = -1;
  #over = false;
  #lastError: Error | undefined;

  constructor(data: Pick<ThreadData, 'config' | 'engine' | 'services'>, events: ThreadEvents) {
    this.#events = events;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const workerData: ThreadData = {
      ...data,
      port: port2,
      loop: this.loop.buffer,
      state: this.state.buffer,
      descriptors: this.descriptors.buffer,
    };
    this.#worker = new Worker(ENTRY, {
      name: 'network',
      workerData,
      transferList: [port2],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    this.#worker.on('error', (error) => {
      this.#lastError = error instanceof Error ? error : new Error(String(error));
    });
    this.gone = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#ended();
        resolve();
      });
    });
    this.ready = new Promise((resolve, reject) => {
      this.#pending.set(0, { resolve: resolve as (answer: unknown) => void, reject });
    });
    // Who awaits it hears of a death; nobody awaiting must not end the process.
    this.ready.catch(() => {});
    port1.on('message', (mail: FromNetwork) => this.#receive(mail));
    // Only the Worker keeps the process alive.
    port1.unref();
  }

  /** It has ended: requests fail. */
  get over(): boolean {
    return this.#over;
  }

  /** Asks the network thread; rejects with its SlipwayError, or when it dies first. */
  ask<N extends OperationName>(name: N, ...request: RequestOf<N>): Promise<AnswerOf<N>> {
    if (this.#over) return Promise.reject(this.#deathError());
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as (answer: unknown) => void, reject });
      this.#requests.push({ id, name, request: request[0] });
      if (this.#requests.length === 1) queueMicrotask(() => this.#postRequests());
    });
  }

  /**
   * Before a request that names the descriptor `fd`: it is the thread's from here on, whatever the outcome. It stands
   * in the table before the thread hears of it, so what a thread dies over before it took it is closed with the rest.
   */
  handOver(fd: number, kind: DescriptorKind): void {
    if (this.#over) closeSync(fd);
    else this.descriptors.record(fd, kind);
  }

  reply(replies: readonly ServiceDatagram[]): void {
    if (!this.#over) this.#post({ kind: 'replies', replies });
  }

  /** Makes the loop look at the words that both threads see. */
  wake(): void {
    if (!this.#over) this.#post({ kind: 'wake' });
  }

  /** Asks the loop to end in good order; `gone` tells when it has. */
  stop(): void {
    this.loop.stop();
    this.wake();
  }

  /**
   * Stops JavaScript that never comes back, for the reason `error`. Does not help against a thread that sits in a
   * system call.
   */
  abort(error: Error): void {
    this.#lastError ??= error;
    void this.#worker.terminate();
  }

  /**
   * Closes what a dead thread left open, except what `keep` names; connections are reset, since the thread had them
   * linger for no time. Only after `gone`: a living thread could close the same numbers.
   */
  closeDescriptors(keep: ReadonlySet<number>): number {
    let flows = 0;
    for (const fd of this.descriptors.list('flow', 'guest', 'other', 'listener', 'tap')) {
      if (keep.has(fd)) continue;
      if (this.descriptors.kind(fd) === 'flow') flows++;
      this.descriptors.forget(fd);
      try {
        closeSync(fd);
      } catch {
        // Closed between the record and the death: nothing is left to do.
      }
    }
    return flows;
  }

  #postRequests(): void {
    const asked = this.#requests;
    this.#requests = [];
    if (this.#over) return;
    for (let at = 0; at < asked.length; at += REQUESTS_PER_MAIL) {
      this.#port.postMessage({
        kind: 'requests',
        requests: asked.slice(at, at + REQUESTS_PER_MAIL),
      } satisfies ToNetwork);
    }
    this.#endSleep();
  }

  #post(mail: ToNetwork): void {
    this.#port.postMessage(mail);
    this.#endSleep();
  }

  /** Node's own loop wakes for mail; one that sleeps in epoll needs its eventfd. */
  #endSleep(): void {
    if (this.#wakeDescriptor < 0 || this.state.ended) return;
    try {
      writeSync(this.#wakeDescriptor, new Uint8Array(ONE.buffer));
    } catch {
      // EAGAIN: it is full, so the loop is awake already. EBADF: the thread is just ending.
    }
  }

  #receive(mail: FromNetwork): void {
    switch (mail.kind) {
      case 'ready':
        this.#wakeDescriptor = mail.wakeDescriptor;
        this.#settle(0)?.resolve(undefined);
        this.#endSleep();
        return;
      case 'answers':
        for (const one of mail.answers) this.#hear(one);
        return;
      case 'event':
        (this.#events[mail.name] as (...facts: readonly unknown[]) => void)(...mail.facts);
    }
  }

  #hear(outcome: Answer | Refusal): void {
    if (outcome.kind === 'answer') this.#settle(outcome.id)?.resolve(outcome.answer);
    else this.#settle(outcome.id)?.reject(refusal(outcome.error));
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  #ended(): void {
    this.#over = true;
    this.#port.close();
    const error = this.#deathError();
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    if (!this.loop.stopping || this.#lastError !== undefined) this.#events.died(error);
  }

  #deathError(): Error {
    if (this.#lastError !== undefined) return this.#lastError;
    return new SlipwayError('ERR_NETWORK_THREAD', 'the network thread has ended');
  }
}

function refusal({ code, hint, message }: PlainError): Error {
  return code === undefined ? new Error(message) : new SlipwayError(code, message, hint);
}
