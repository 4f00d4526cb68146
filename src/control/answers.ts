import { SlipwayError } from '../facts/errors.ts';
import type { CoreNetwork } from '../network/core-network.ts';
import { OPERATIONS } from './operations.ts';
import type { ThreadEngine } from './thread-engine.ts';
import type { Answer, PlainError, Refusal, Request } from './thread-mail.ts';

type Operation = (network: CoreNetwork, engine: ThreadEngine, request: unknown) => unknown;

/** Does what control asks of the network thread: looks the operation up, and sends its answer or why there is none. */
export class Answers {
  readonly #network: CoreNetwork;
  readonly #engine: ThreadEngine;
  readonly #send: (answers: readonly (Answer | Refusal)[]) => void;
  /** Not sent yet. */
  #answers: (Answer | Refusal)[] = [];
  #pending = 0;

  constructor(network: CoreNetwork, engine: ThreadEngine, send: (answers: readonly (Answer | Refusal)[]) => void) {
    this.#network = network;
    this.#engine = engine;
    this.#send = send;
  }

  /**
   * Requests whose answers are promises that have not settled. Bound: control asks for as many as it has forwards, and
   * each has a time limit.
   */
  get pending(): number {
    return this.#pending;
  }

  /** Never throws. What is known now is answered now, in one mail; what comes later together, too. */
  answer(requests: readonly Request[]): void {
    for (const request of requests) this.#answer(request);
    this.#flush();
  }

  #answer({ id, name, request }: Request): void {
    try {
      const answer = operation(name)(this.#network, this.#engine, request);
      if (answer instanceof Promise) void this.#answerLater(id, answer);
      else this.#answers.push({ kind: 'answer', id, answer });
    } catch (error) {
      this.#answers.push({ kind: 'refusal', id, error: plain(error) });
    }
  }

  async #answerLater(id: number, answer: Promise<unknown>): Promise<void> {
    this.#pending++;
    let outcome: Answer | Refusal;
    try {
      outcome = { kind: 'answer', id, answer: await answer };
    } catch (error) {
      outcome = { kind: 'refusal', id, error: plain(error) };
    }
    this.#pending--;
    // Promises that were settled in one turn go on one after the other.
    if (this.#answers.length === 0) queueMicrotask(() => this.#flush());
    this.#answers.push(outcome);
  }

  #flush(): void {
    if (this.#answers.length === 0) return;
    const answers = this.#answers;
    this.#answers = [];
    this.#send(answers);
  }
}

function operation(name: string): Operation {
  if (!Object.hasOwn(OPERATIONS, name)) throw new Error(`the network thread has no operation '${name}'`);
  // The types of name and request belong together where they are asked (`RequestOf`); on their way they are data.
  return OPERATIONS[name as keyof typeof OPERATIONS] as Operation;
}

function plain(error: unknown): PlainError {
  if (error instanceof SlipwayError) return { message: error.message, code: error.code, hint: error.hint };
  return { message: error instanceof Error ? error.message : String(error) };
}
