import type { Readable, Writable } from 'node:stream';
import { type BodyCounter, bodyCounter, dechunked, type Framing, requestFraming, responseFraming } from './body.ts';
import { ByteSource, write } from './byte-stream.ts';
import { type Decode, type Exchange, errorAnswer, type Whole } from './exchange.ts';
import { hasWord, parseRequestHead, parseResponseHead, type RequestHead, type ResponseHead } from './head.ts';

/** A connection, as its two directions: one may fail while the other still delivers. */
export interface ByteConnection {
  readonly source: Readable;
  readonly sink: Writable;
  destroy(): void;
}

export interface RelayLimits {
  /** Of a body that has to be read; a longer request is refused. */
  readonly requestBytes: number;
  /** A longer answer passes unread. */
  readonly responseBytes: number;
  /** How long a client that still sends may take to read the answer after which the engine closed. */
  readonly lingerMs: number;
}

/** As Go's server has it. */
const CONTINUE: Buffer = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n');

/** Where the relay goes on after an exchange. */
type Next = 'request' | 'raw' | 'end';

/**
 * Carries one client's connection to the engine and back, octet for octet. It reads heads only to know where a message
 * ends: so that the requests that `decode` wants can be read whole, and so that what follows a request is held until
 * its answer has begun, because the engine throws away what comes before it has taken over the connection.
 *
 * Whatever it does not understand passes: after a head that is not HTTP/1, after 101, and after an answer that ends
 * with its connection both directions are just carried, half-closes included.
 */
export class Relay {
  readonly #client: ByteConnection;
  readonly #clientSource: ByteSource;
  readonly #dial: () => Promise<ByteConnection>;
  readonly #decode: Decode;
  readonly #limits: RelayLimits;
  #engine: ByteConnection | undefined;
  #engineSource: ByteSource | undefined;
  /** The request that is on its way; it has the client's octets to itself. */
  #sending: Promise<boolean> = Promise.resolve(true);

  /** `dial` rejects with an error whose message says why there is no engine, and what to do. */
  constructor(client: ByteConnection, dial: () => Promise<ByteConnection>, decode: Decode, limits: RelayLimits) {
    this.#client = client;
    this.#clientSource = new ByteSource(client.source);
    this.#dial = dial;
    this.#decode = decode;
    this.#limits = limits;
  }

  /** Resolves when both connections are closed. Never rejects: a connection that breaks is an end like others. */
  async run(): Promise<void> {
    try {
      let next: Next = 'request';
      while (next === 'request') next = await this.#request();
      if (next === 'raw') await this.#raw();
      else await this.#finish();
    } catch {
      // One of the two broke. The other must not wait for it.
    } finally {
      this.#client.destroy();
      this.#engine?.destroy();
    }
  }

  async #request(): Promise<Next> {
    // An engine that closes an idle connection, or speaks unasked, is heard as a client without us would hear it.
    const engine = this.#engineSource?.more().then((more): Next => (more ? 'raw' : 'end'));
    const client = this.#clientSource.more().then((more): Next => (more ? 'request' : 'end'));
    const first = await (engine === undefined ? client : Promise.race([client, engine]));
    if (first !== 'request') return first;
    const bytes = await this.#clientSource.readHead();
    if (bytes === undefined) return 'raw';
    const head = parseRequestHead(bytes);
    const framing = head && requestFraming(head);
    if (head === undefined || framing === undefined || framing.kind === 'close') {
      this.#clientSource.unread(bytes);
      return 'raw';
    }
    const exchange = this.#decode(head);
    return exchange === undefined ? this.#pass(head, framing) : this.#read(exchange, head, framing);
  }

  /** A request that nobody has to read. */
  async #pass(head: RequestHead, framing: Framing): Promise<Next> {
    const engine = await this.#connect();
    if (engine === undefined) return 'end';
    this.#sending = this.#sendRequest(engine.sink, head.bytes, framing);
    const answered = await this.#passAnswer(head.method);
    return answered === 'request' ? this.#sent() : answered;
  }

  /** An engine that answered before it had all of the request reads the rest, or it closes. */
  async #sent(): Promise<Next> {
    const sent = await Promise.race([this.#sending, this.#engineSource!.more()]);
    return sent ? 'request' : 'end';
  }

  /** Resolves to false when the engine takes no more; what it answers may come all the same. */
  async #sendRequest(sink: Writable, head: Buffer, framing: Framing): Promise<boolean> {
    try {
      await write(sink, head);
      if (framing.kind !== 'close') await this.#carry(this.#clientSource, sink, bodyCounter(framing));
    } catch {
      return false;
    }
    this.#passHalfClose();
    return true;
  }

  /** A client that ends before it is answered calls its request off: the engine must hear of it at once. */
  #passHalfClose(): void {
    void this.#clientSource.more().then((more) => {
      if (!more) this.#engine?.sink.end();
    });
  }

  async #passAnswer(method: string): Promise<Next> {
    const head = await this.#readAnswerHead();
    if (head === undefined) return 'raw';
    await write(this.#client.sink, head.bytes);
    if (head.status === 101) return 'raw';
    const framing = responseFraming(head, method);
    if (framing.kind === 'close') return 'raw';
    await this.#carry(this.#engineSource!, this.#client.sink, bodyCounter(framing));
    return hasWord(head, 'connection', 'close') ? 'end' : 'request';
  }

  /**
   * The head of the final answer, or of a 101; other 1xx are passed on the way, but for a 100 that the client has.
   * Undefined where it is no HTTP/1.
   */
  async #readAnswerHead(isContinued = false): Promise<ResponseHead | undefined> {
    for (;;) {
      const bytes = await this.#engineSource!.readHead();
      if (bytes === undefined) return undefined;
      const head = parseResponseHead(bytes);
      if (head === undefined) this.#engineSource!.unread(bytes);
      if (head === undefined || head.status >= 200 || head.status === 101) return head;
      if (!isContinued || head.status !== 100) await write(this.#client.sink, bytes);
    }
  }

  /** A request that `exchange` reads. */
  async #read(exchange: Exchange, head: RequestHead, framing: Framing): Promise<Next> {
    const isContinued = exchange.reads === 'body' && hasWord(head, 'expect', '100-continue');
    if (isContinued) await write(this.#client.sink, CONTINUE);
    const request = await this.#readRequest(exchange, head, framing);
    if (request === 'cut') return 'raw';
    if (request === 'long') {
      const limit = `the request's body is longer than the ${this.#limits.requestBytes} bytes that Slipway reads`;
      await write(this.#client.sink, errorAnswer(413, limit, { close: true }));
      return 'end';
    }
    const rest: Framing = exchange.reads === 'body' ? { kind: 'none' } : framing;
    const before = await exchange.before(request);
    if ('answer' in before) {
      await write(this.#client.sink, before.answer);
      return rest.kind === 'none' || (rest.kind === 'length' && rest.bytes === 0) ? 'request' : 'end';
    }
    let settled = false;
    try {
      const engine = await this.#connect();
      if (engine === undefined) return 'end';
      this.#sending = this.#sendRequest(engine.sink, before.pass, rest);
      const answer = await this.#readAnswerHead(isContinued);
      const framing = answer && responseFraming(answer, head.method);
      if (answer === undefined || framing === undefined) return 'raw';
      if (framing.kind === 'close' || answer.status === 101) {
        this.#engineSource!.unread(answer.bytes);
        return 'raw';
      }
      const whole = await this.#whole(this.#engineSource!, answer, framing, this.#limits.responseBytes);
      if (typeof whole === 'string') return 'raw';
      settled = true;
      await write(this.#client.sink, await exchange.after(whole));
      return hasWord(answer, 'connection', 'close') ? 'end' : this.#sent();
    } finally {
      if (!settled) await exchange.failed();
    }
  }

  async #readRequest(
    { reads }: Exchange,
    head: RequestHead,
    framing: Framing,
  ): Promise<Whole<RequestHead> | 'long' | 'cut'> {
    if (reads === 'head') return { head, body: Buffer.alloc(0), bytes: head.bytes };
    return this.#whole(this.#clientSource, head, framing, this.#limits.requestBytes);
  }

  /**
   * The message that `head` begins. Where it is longer than `most`, or the source ends within it, its head and what was
   * read are unread: the other end is to see just that.
   */
  async #whole<Head extends RequestHead | ResponseHead>(
    source: ByteSource,
    head: Head,
    framing: Framing,
    most: number,
  ): Promise<Whole<Head> | 'long' | 'cut'> {
    const parts: Buffer[] = [];
    let length = 0;
    let isCut = false;
    if (framing.kind !== 'close') {
      const counter = bodyCounter(framing);
      while (!counter.done && length <= most) {
        const bytes = await source.read();
        if (bytes === undefined) {
          isCut = true;
          break;
        }
        const taken = counter.take(bytes);
        parts.push(bytes.subarray(0, taken));
        length += taken;
        source.unread(bytes.subarray(taken));
      }
    }
    const raw = Buffer.concat(parts, length);
    const bytes = Buffer.concat([head.bytes, raw]);
    if (isCut || length > most) {
      source.unread(bytes);
      return isCut ? 'cut' : 'long';
    }
    return { head, body: framing.kind === 'chunked' ? dechunked(raw) : raw, bytes };
  }

  /** Carries one body. Rejects when the source ends within it, or one of the two breaks. */
  async #carry(source: ByteSource, sink: Writable, counter: BodyCounter): Promise<void> {
    while (!counter.done) {
      const bytes = await source.read();
      if (bytes === undefined) {
        sink.end();
        throw new Error('the message ended before its end');
      }
      const taken = counter.take(bytes);
      source.unread(bytes.subarray(taken));
      await write(sink, bytes.subarray(0, taken));
    }
  }

  /** Both directions to their ends, whatever they carry. */
  async #raw(): Promise<void> {
    const engine = await this.#connect();
    if (engine === undefined) return this.#finish();
    await Promise.all([
      this.#sending.then((sent) => (sent ? this.#carryAll(this.#clientSource, engine.sink) : undefined)),
      this.#carryAll(this.#engineSource!, this.#client.sink),
    ]);
  }

  async #carryAll(source: ByteSource, sink: Writable): Promise<void> {
    for (let bytes = await source.read(); bytes !== undefined; bytes = await source.read()) await write(sink, bytes);
    await ended(sink);
  }

  /** No more answers: the client gets what was written, even where it still sends. */
  async #finish(): Promise<void> {
    this.#engine?.sink.end();
    await ended(this.#client.sink);
    const late = setTimeout(() => this.#client.destroy(), this.#limits.lingerMs);
    try {
      while ((await this.#clientSource.read()) !== undefined);
    } finally {
      clearTimeout(late);
    }
  }

  /**
   * The engine's connection, made for the first request. Undefined where there is none: the client has been told then.
   */
  async #connect(): Promise<ByteConnection | undefined> {
    if (this.#engine !== undefined) return this.#engine;
    try {
      this.#engine = await this.#dial();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      await write(this.#client.sink, errorAnswer(503, message, { close: true }));
      return undefined;
    }
    this.#engineSource = new ByteSource(this.#engine.source);
    return this.#engine;
  }
}

/** Ends the sink, and resolves when what was written has left. */
function ended(sink: Writable): Promise<void> {
  if (sink.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    sink.once('close', resolve);
    sink.end(resolve);
  });
}
