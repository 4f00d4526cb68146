import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { Duplex } from 'node:stream';
import type { ByteConnection } from '../http/relay.ts';

/** Answers that Slipway asks for itself, such as the list of containers; a longer one is an error. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** One line of the engine's events. */
const MAX_EVENT_BYTES = 1024 * 1024;

/** The engine answered with an error. */
export class EngineError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'EngineError';
    this.status = status;
  }
}

/** Slipway's own questions to the engine. They name no API version: the engine answers with its own. */
export class EngineClient {
  readonly #dial: () => Promise<ByteConnection>;
  readonly #timeoutMs: number;

  constructor(dial: () => Promise<ByteConnection>, timeoutMs: number) {
    this.#dial = dial;
    this.#timeoutMs = timeoutMs;
  }

  /** The JSON of an answer. Rejects with EngineError where the engine refuses, and with the connection's error. */
  async get(path: string): Promise<unknown> {
    const answer = await this.#ask('GET', path);
    return JSON.parse((await this.#body(answer)) || 'null');
  }

  async remove(path: string): Promise<void> {
    await this.#body(await this.#ask('DELETE', path));
  }

  /** Sends a body; the answer's text. Rejects as `get` does. */
  async post(path: string, body: Uint8Array, type: string): Promise<string> {
    return this.#body(await this.#ask('POST', path, undefined, { bytes: body, type }));
  }

  /** The engine's events from now on; `ready` is called when none after it can be missed. Ends with the connection. */
  async *events(path: string, ready: () => void, signal: AbortSignal): AsyncGenerator<unknown> {
    const answer = await this.#ask('GET', path, signal);
    if (answer.statusCode !== 200) throw new EngineError(answer.statusCode ?? 0, await this.#body(answer));
    ready();
    let rest = '';
    for await (const bytes of answer.setEncoding('utf8')) {
      const lines = (rest + bytes).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > MAX_EVENT_BYTES) throw new Error('the engine sends an event without end');
      for (const line of lines) if (line.trim() !== '') yield JSON.parse(line);
    }
  }

  async #ask(
    method: string,
    path: string,
    signal?: AbortSignal,
    body?: { readonly bytes: Uint8Array; readonly type: string },
  ): Promise<IncomingMessage> {
    const connection = await this.#dial();
    const stream = Duplex.from({ readable: connection.source, writable: connection.sink });
    stream.once('close', () => connection.destroy());
    // The request and the answer hear of it, too.
    stream.on('error', () => {});
    const late = AbortSignal.timeout(this.#timeoutMs);
    return new Promise((resolve, reject) => {
      const ended = signal === undefined ? late : AbortSignal.any([late, signal]);
      const giveUp = (): void => {
        asked.destroy(new Error(`the engine has not answered ${method} ${path} for ${this.#timeoutMs / 1000} s`));
      };
      const asked: ClientRequest = request(
        {
          method,
          path,
          headers: {
            Host: 'docker',
            Connection: 'close',
            ...(body && { 'Content-Type': body.type, 'Content-Length': body.bytes.length }),
          },
          createConnection: () => stream,
        },
        (answer) => {
          ended.removeEventListener('abort', giveUp);
          signal?.addEventListener('abort', () => answer.destroy(), { once: true });
          resolve(answer);
        },
      );
      ended.addEventListener('abort', giveUp, { once: true });
      asked.once('error', (error) => {
        ended.removeEventListener('abort', giveUp);
        connection.destroy();
        reject(error);
      });
      asked.end(body?.bytes);
    });
  }

  async #body(answer: IncomingMessage): Promise<string> {
    let text = '';
    for await (const part of answer.setEncoding('utf8')) {
      text += part;
      if (text.length > MAX_ANSWER_BYTES) throw new Error('the engine’s answer is too long');
    }
    const status = answer.statusCode ?? 0;
    if (status >= 400) throw new EngineError(status, messageOf(text));
    return text;
  }
}

/** The sentence in the engine's `{"message": …}`, or the text itself. */
function messageOf(text: string): string {
  try {
    return (JSON.parse(text) as { message: string }).message;
  } catch {
    return text.trim();
  }
}
