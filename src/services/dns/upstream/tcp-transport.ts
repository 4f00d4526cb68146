/**
 * Requests to one nameserver over TCP (RFC 7766): what did not fit into a datagram.
 *
 * One connection is kept per server. Requests are sent as they come, without waiting for answers, and answers are told
 * apart by id, in any order. It closes after 10 s without a request. When it is lost, what waits on it is asked once
 * more on a new one: a server may close an idle connection at the very moment at which we write (RFC 7766 §6.2.4).
 *
 * DnsTimers: 2 s per request ('timeout'); when the connection brought nothing in that time, it is given up with it.
 * Bounds: 128 requests on the connection, 1,024 that wait for room ('dns-upstream-full'), 64 KiB of a message.
 */
import { connect, type Socket } from 'node:net';
import { readU16, writeU16 } from '../../../wire/bytes.ts';
import { DNS_HEADER_BYTES } from '../../../wire/dns-message.ts';
import { type AnswerFault, type Pending, readAnswer, type UpstreamRequest } from './request.ts';
import { StreamMessages, withLength } from './stream-messages.ts';
import type { DnsTimer } from './timers.ts';
import { freeId, refused, type TransportOptions, type UpstreamTransport } from './transport.ts';

const MAX_IN_FLIGHT = 128;
const MAX_QUEUED = 1024;
const TIMEOUT_MS = 2000;
const IDLE_MS = 10_000;

/** A request on its way, over one connection or two. */
interface Sent {
  readonly request: UpstreamRequest;
  readonly sentMs: number;
  timer: DnsTimer;
  /** Where it is; undefined while it waits for room, and when it is over. */
  connection: TcpConnection | undefined;
  id: number;
  connections: number;
}

export class TcpTransport implements UpstreamTransport {
  readonly #options: TransportOptions;
  /** Takes requests. */
  #current: TcpConnection | undefined;
  /** All that are open: a retired one still brings answers. */
  readonly #open = new Set<TcpConnection>();
  readonly #queued = new Set<Sent>();

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  send(request: UpstreamRequest): Pending {
    const { counters, timers } = this.#options;
    if (this.#queued.size >= MAX_QUEUED) {
      counters.add('dns-upstream-full');
      return refused(request, 'busy');
    }
    const timer = timers.after(TIMEOUT_MS, () => this.#timedOut(sent));
    const sent: Sent = { request, sentMs: timers.nowMs(), timer, connection: undefined, id: 0, connections: 0 };
    this.#queued.add(sent);
    this.#pump();
    return {
      forget: () => this.#over(sent),
      suspect: () => {
        if (sent.connection === this.#current) this.renew();
      },
    };
  }

  renew(): void {
    this.#current?.retire();
    this.#current = undefined;
  }

  close(): void {
    this.#current = undefined;
    for (const connection of this.#open) connection.abort('closed');
    for (const sent of [...this.#queued]) this.#fail(sent, 'closed');
  }

  #pump(): void {
    for (const sent of this.#queued) {
      this.#current ??= this.#connect();
      if (this.#current.inFlight >= MAX_IN_FLIGHT) return;
      this.#queued.delete(sent);
      this.#current.send(sent);
    }
  }

  #connect(): TcpConnection {
    const connection = new TcpConnection(this.#options, {
      answered: (sent, answer) => {
        this.#over(sent);
        sent.request.answered(answer);
      },
      lost: (waiting, code, mayRetry) => {
        this.#open.delete(connection);
        if (this.#current === connection) this.#current = undefined;
        this.#lost(waiting, code, mayRetry);
      },
    });
    this.#open.add(connection);
    return connection;
  }

  #lost(waiting: readonly Sent[], code: string, mayRetry: boolean): void {
    for (const sent of waiting) {
      if (mayRetry && sent.connections < 2) this.#queued.add(sent);
      else this.#fail(sent, code);
    }
    this.#pump();
  }

  #timedOut(sent: Sent): void {
    const { connection } = sent;
    this.#options.counters.add('dns-upstream-tcp-timeout');
    this.#fail(sent, 'timeout');
    if (connection === undefined) return;
    // Slow with this one answer, or dead? Who asks now is not to find out.
    if (connection.heardMs <= sent.sentMs) connection.abort('timeout');
    else if (connection === this.#current) this.renew();
  }

  #fail(sent: Sent, code: string): void {
    this.#over(sent);
    sent.request.failed(code);
  }

  /** Nobody waits for it any more. */
  #over(sent: Sent): void {
    sent.timer.cancel();
    this.#queued.delete(sent);
    const { connection } = sent;
    sent.connection = undefined;
    connection?.remove(sent);
    if (this.#queued.size > 0) this.#pump();
  }
}

interface ConnectionEvents {
  answered(sent: Sent, answer: Uint8Array): void;
  /** The connection ended with these unanswered. `mayRetry`: it had been there, so another may be. */
  lost(waiting: readonly Sent[], code: string, mayRetry: boolean): void;
}

class TcpConnection {
  readonly #options: TransportOptions;
  readonly #events: ConnectionEvents;
  readonly #socket: Socket;
  readonly #messages = new StreamMessages();
  readonly #waiting = new Map<number, Sent>();
  #idle: DnsTimer | undefined;
  #code = 'ECONNRESET';
  #mayRetry = false;
  #retired = false;
  #lost = false;
  /** When bytes came last. */
  heardMs: number = Number.NEGATIVE_INFINITY;

  constructor(options: TransportOptions, events: ConnectionEvents) {
    this.#options = options;
    this.#events = events;
    const { address, port } = options.nameserver;
    this.#socket = connect({ host: address, port, noDelay: true });
    this.#socket.unref();
    this.#socket.on('connect', () => {
      this.#mayRetry = true;
    });
    this.#socket.on('data', (bytes: Uint8Array) => this.#received(bytes));
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#code = error.code ?? 'EIO';
    });
    // The server's end of its side: it answers nothing any more.
    this.#socket.on('end', () => this.#end());
    this.#socket.on('close', () => this.#end());
  }

  get inFlight(): number {
    return this.#waiting.size;
  }

  send(sent: Sent): void {
    sent.connection = this;
    sent.connections++;
    sent.id = freeId(this.#options.random, this.#waiting);
    writeU16(sent.request.message, 0, sent.id);
    this.#waiting.set(sent.id, sent);
    this.#idle?.cancel();
    this.#idle = undefined;
    this.#socket.write(withLength(sent.request.message));
  }

  remove(sent: Sent): void {
    if (this.#waiting.get(sent.id) !== sent) return;
    this.#waiting.delete(sent.id);
    if (this.#waiting.size > 0 || this.#lost) return;
    if (this.#retired) this.abort('closed');
    else this.#idle ??= this.#options.timers.after(IDLE_MS, () => this.abort('closed'));
  }

  /** Takes no requests any more; closes when nobody waits. */
  retire(): void {
    this.#retired = true;
    if (this.#waiting.size === 0) this.abort('closed');
  }

  abort(code: string): void {
    if (code === 'closed') this.#mayRetry = false;
    this.#code = code;
    this.#end();
  }

  #received(bytes: Uint8Array): void {
    this.heardMs = this.#options.timers.nowMs();
    this.#messages.push(bytes);
    for (let message = this.#messages.next(); message !== undefined; message = this.#messages.next()) {
      const fault = this.#deliver(message);
      if (fault !== undefined) this.#options.counters.add(fault);
    }
  }

  #deliver(message: Uint8Array): AnswerFault | undefined {
    if (message.length < DNS_HEADER_BYTES) return 'dns-upstream-garbage';
    const sent = this.#waiting.get(readU16(message, 0));
    if (sent === undefined) return 'dns-upstream-unasked';
    const answer = readAnswer(sent.request, message);
    if (typeof answer === 'string') return answer;
    this.#events.answered(sent, answer);
    return undefined;
  }

  /** Once, however it ended. */
  #end(): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#idle?.cancel();
    this.#socket.destroy();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const sent of waiting) sent.connection = undefined;
    this.#events.lost(waiting, this.#code, this.#mayRetry);
  }
}
