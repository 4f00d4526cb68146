import { createServer, type Server, type Socket } from 'node:net';
import type { Counters } from '../../env/counters.ts';
import { parseProxyV2 } from '../../wire/proxy-v2.ts';
import type { DnsTransport } from './dns-query.ts';
import { StreamMessages, withLength } from './upstream/stream-messages.ts';

/** Connections at once: TCP is the exception for DNS, and each may hold a message of 64 KiB and the answers to 32. */
const MAX_CONNECTIONS = 128;
/** A quarter: one guest leaves room for three more like it. */
const MAX_CONNECTIONS_OF_GUEST = MAX_CONNECTIONS / 4;
/** Questions of one connection that wait for their answers; beyond, it is not read. */
const MAX_IN_FLIGHT = 32;
/** RFC 7766 §6.2.3 wants idle connections closed in the order of seconds. */
const IDLE_MS = 10_000;
/** Far more than the header that the network thread writes. */
const MAX_HEADER_BYTES = 512;

/** Which of the two servers: everything, or nothing but the zones. */
export type DnsServerName = 'all' | 'internal';

/** Whoever answers questions: `DnsService`. */
export interface DnsAnswers {
  answer(
    bytes: Uint8Array,
    guest: number,
    transport: DnsTransport,
    server: DnsServerName,
  ): Uint8Array | undefined | Promise<Uint8Array | undefined>;
}

/**
 * DNS over TCP (RFC 7766): an ordinary server on a unix socket, where each connection begins with a PROXY v2 header that
 * names the guest. Questions of one connection are answered as the answers come, out of order (§7). A connection that does
 * not read its answers, or has 32 questions on their way, is not read; one that closes its side still hears everything it
 * asked; one that says nothing for ten seconds is closed, and so is one that sends what is no question
 * ('dns-stream-fault'). The caller makes `server` listen.
 */
export class DnsStreamServer {
  readonly server: Server;
  readonly #answers: DnsAnswers;
  readonly #name: DnsServerName;
  readonly #counters: Counters;
  readonly #sockets = new Set<Socket>();
  /** Open connections of each guest that has any. */
  readonly #guests = new Map<number, number>();

  constructor(answers: DnsAnswers, name: DnsServerName, counters: Counters) {
    this.#answers = answers;
    this.#name = name;
    this.#counters = counters;
    // Half-open: who has asked everything may close its side and still hears the answers.
    this.server = createServer({ allowHalfOpen: true }, (socket) => this.#introduce(socket));
    this.server.maxConnections = MAX_CONNECTIONS;
    this.server.on('drop', () => counters.add('dns-stream-refused'));
  }

  /** Ends listening and every connection. */
  close(): void {
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Reads the header; what stands behind it is the conversation. */
  #introduce(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    // The guest went away, or was sent away: nobody to tell.
    socket.on('error', () => socket.destroy());
    const leave = (): void => void socket.destroy();
    let held = Buffer.alloc(0);
    const read = (bytes: Buffer): void => {
      held = Buffer.concat([held, bytes]);
      const header = parseProxyV2(held, 0, held.length);
      if (header === undefined && held.length < MAX_HEADER_BYTES) return;
      socket.off('data', read).off('end', leave).off('timeout', leave);
      if (header === undefined || typeof header === 'string') this.#refuse(socket, 'dns-stream-fault');
      else this.#converse(socket, header.sourceAddress, held.subarray(header.headerBytes));
    };
    socket.setTimeout(IDLE_MS).on('timeout', leave).on('data', read).on('end', leave);
  }

  #converse(socket: Socket, guest: number, bytes: Uint8Array): void {
    const open = this.#guests.get(guest) ?? 0;
    if (open >= MAX_CONNECTIONS_OF_GUEST) {
      this.#refuse(socket, 'dns-stream-over-limit');
      return;
    }
    this.#guests.set(guest, open + 1);
    socket.on('close', () => {
      const left = (this.#guests.get(guest) ?? 1) - 1;
      if (left > 0) this.#guests.set(guest, left);
      else this.#guests.delete(guest);
    });
    const conversation = new Conversation(
      socket,
      (message) => this.#answers.answer(message, guest, 'tcp', this.#name),
      () => this.#refuse(socket, 'dns-stream-fault'),
    );
    conversation.read(bytes);
  }

  #refuse(socket: Socket, why: string): void {
    this.#counters.add(why);
    socket.destroy();
  }
}

/** One connection behind its header. */
class Conversation {
  readonly #socket: Socket;
  readonly #answer: (message: Uint8Array) => ReturnType<DnsAnswers['answer']>;
  readonly #fault: () => void;
  readonly #messages = new StreamMessages();
  #inFlight = 0;
  #ended = false;

  constructor(socket: Socket, answer: (message: Uint8Array) => ReturnType<DnsAnswers['answer']>, fault: () => void) {
    this.#socket = socket;
    this.#answer = answer;
    this.#fault = fault;
    socket.on('data', (bytes) => this.read(bytes));
    socket.on('drain', () => this.#pump());
    socket.on('end', () => {
      this.#ended = true;
      this.#pump();
    });
    socket.on('timeout', () => {
      // Answers on their way are no idleness, answers that nobody takes are.
      if (this.#inFlight === 0 || socket.writableNeedDrain) socket.destroy();
    });
  }

  read(bytes: Uint8Array): void {
    this.#messages.push(bytes);
    this.#pump();
  }

  /** Asks what came whole, as far as answers may wait. */
  #pump(): void {
    const socket = this.#socket;
    // Answers that are there at once leave in one piece.
    socket.cork();
    let message: Uint8Array | undefined;
    while (!this.#blocked) {
      message = this.#messages.next();
      if (message === undefined) break;
      this.#ask(message);
    }
    socket.uncork();
    if (socket.destroyed) return;
    if (this.#blocked) socket.pause();
    else if (!this.#ended) socket.resume();
    else if (this.#inFlight === 0) socket.end();
  }

  get #blocked(): boolean {
    const { destroyed, writableNeedDrain } = this.#socket;
    return destroyed || writableNeedDrain || this.#inFlight >= MAX_IN_FLIGHT;
  }

  #ask(message: Uint8Array): void {
    const answer = this.#answer(message);
    if (!(answer instanceof Promise)) {
      this.#reply(answer);
      return;
    }
    this.#inFlight++;
    void answer.then((late) => {
      this.#inFlight--;
      if (this.#socket.destroyed) return;
      this.#reply(late);
      this.#pump();
    });
  }

  #reply(answer: Uint8Array | undefined): void {
    if (answer === undefined) this.#fault();
    else if (!this.#socket.destroyed) this.#socket.write(withLength(answer));
  }
}
