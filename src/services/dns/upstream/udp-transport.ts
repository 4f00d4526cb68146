/**
 * Requests to one nameserver over UDP.
 *
 * Sockets are connected, so the kernel drops what anybody else sends and tells of a refused port. Each has a port of
 * the kernel's choice (RFC 5452 §9.2), and each request goes out of one of eight at random, under a random id. A socket
 * takes 256 requests or serves for 10 s, then another takes its place; it closes when its last answer has come. So a
 * server that nobody asks has no sockets, and a port that was guessed is soon of no use.
 *
 * Bound: 24,576 requests wait at once ('dns-upstream-full'), so about 8 + 96 sockets, and 48 more that have had their
 * time (eight every 800 ms, as long as a lookup lasts).
 */
import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { readU16, writeU16 } from '../../../wire/bytes.ts';
import { DNS_HEADER_BYTES } from '../../../wire/dns-message.ts';
import { type AnswerFault, type Pending, readAnswer, type UpstreamRequest } from './request.ts';
import type { DnsTimer } from './timers.ts';
import { freeId, refused, type TransportOptions, type UpstreamTransport } from './transport.ts';

const SOCKETS = 8;
const MAX_SOCKET_REQUESTS = 256;
const MAX_SOCKET_AGE_MS = 10_000;
const SWEEP_MS = 2_500;
/**
 * All lookups that there may be (`dns.lookups`), each asked six times (lookup.ts) and listened to until its end. With
 * fewer, the dead names of one guest would take the nameserver from the others.
 */
const MAX_WAITING = 24_576;

/** What a socket tells its transport. */
interface SocketEvents {
  /** The server's port is closed (ICMP port unreachable). */
  refused(): void;
  /** The socket is of no use any more. */
  broken(socket: UdpSocket): void;
  /** It was retired, its last answer has come, and it is closed. */
  closed(socket: UdpSocket): void;
}

export class UdpTransport implements UpstreamTransport {
  readonly #options: TransportOptions;
  readonly #events: SocketEvents;
  /** Those that take requests. */
  readonly #slots: (UdpSocket | undefined)[] = new Array<UdpSocket | undefined>(SOCKETS).fill(undefined);
  /** Those that only wait for answers. */
  readonly #retired = new Set<UdpSocket>();
  #sweep: DnsTimer | undefined;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#events = {
      refused: () => this.#failAll('ECONNREFUSED'),
      broken: (socket) => this.#retire(socket),
      closed: (socket) => void this.#retired.delete(socket),
    };
  }

  send(request: UpstreamRequest): Pending {
    const { counters, random } = this.#options;
    if (this.#waiting() >= MAX_WAITING) {
      counters.add('dns-upstream-full');
      return refused(request, 'busy');
    }
    return this.#socket(random.u32() % SOCKETS).send(request);
  }

  renew(): void {
    for (const socket of this.#slots) if (socket !== undefined) this.#retire(socket);
  }

  close(): void {
    this.#sweep?.cancel();
    this.#sweep = undefined;
    this.renew();
    this.#failAll('closed');
  }

  #socket(slot: number): UdpSocket {
    const present = this.#slots[slot];
    if (present?.fresh === true) return present;
    if (present !== undefined) this.#retire(present);
    const socket = new UdpSocket(this.#options, this.#events);
    this.#slots[slot] = socket;
    this.#sweep ??= this.#options.timers.after(SWEEP_MS, () => this.#swept());
    return socket;
  }

  #retire(socket: UdpSocket): void {
    const slot = this.#slots.indexOf(socket);
    if (slot < 0) return;
    this.#slots[slot] = undefined;
    this.#retired.add(socket);
    socket.retire();
  }

  #swept(): void {
    this.#sweep = undefined;
    for (const socket of this.#slots) if (socket?.fresh === false) this.#retire(socket);
    if (this.#slots.every((socket) => socket === undefined)) return;
    this.#sweep = this.#options.timers.after(SWEEP_MS, () => this.#swept());
  }

  #failAll(code: string): void {
    // A copy: those who are told may ask again at once.
    for (const socket of [...this.#slots, ...this.#retired]) socket?.failAll(code);
  }

  #waiting(): number {
    let waiting = 0;
    for (const socket of this.#slots) waiting += socket?.waiting ?? 0;
    for (const socket of this.#retired) waiting += socket.waiting;
    return waiting;
  }
}

class UdpSocket {
  readonly #options: TransportOptions;
  readonly #events: SocketEvents;
  readonly #socket: Socket;
  readonly #openedMs: number;
  readonly #waiting = new Map<number, UpstreamRequest>();
  readonly #sent: (error: Error | null) => void;
  readonly #connected: boolean;
  #requests = 0;
  /** Why it is of no use; '' while it is. */
  #fault = '';
  #retired = false;
  #closed = false;

  constructor(options: TransportOptions, events: SocketEvents) {
    this.#options = options;
    this.#events = events;
    this.#openedMs = options.timers.nowMs();
    const { address, port } = options.nameserver;
    const family = isIPv6(address) ? 6 : 4;
    this.#socket = createSocket({
      type: family === 6 ? 'udp6' : 'udp4',
      // Addresses only, so nothing is looked up, and bind and connect are done when they return.
      lookup: (host, _options, done) => done(null, host, family),
    });
    this.#sent = (error) => {
      if (error !== null) this.#failed(error);
    };
    this.#socket.on('error', (error) => this.#failed(error));
    this.#socket.on('message', (message) => this.#received(message));
    this.#socket.connect(port, address);
    this.#socket.unref();
    this.#connected = isConnected(this.#socket);
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Whether it takes requests. */
  get fresh(): boolean {
    const ageMs = this.#options.timers.nowMs() - this.#openedMs;
    return this.#fault === '' && this.#requests < MAX_SOCKET_REQUESTS && ageMs < MAX_SOCKET_AGE_MS;
  }

  send(request: UpstreamRequest): Pending {
    // There was no port for it, or no descriptor.
    if (this.#fault !== '') return refused(request, this.#fault);
    const id = freeId(this.#options.random, this.#waiting);
    writeU16(request.message, 0, id);
    this.#waiting.set(id, request);
    this.#requests++;
    // A socket that could not connect says so in an 'error' event, which comes later.
    if (this.#connected) this.#socket.send(request.message, this.#sent);
    return {
      forget: () => {
        if (this.#waiting.get(id) === request) this.#left(id);
      },
      suspect: () => this.#events.broken(this),
    };
  }

  /** Takes no requests any more; closes when nobody waits. */
  retire(): void {
    this.#retired = true;
    this.#closeWhenDone();
  }

  failAll(code: string): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#closeWhenDone();
    for (const request of waiting) request.failed(code);
  }

  #received(message: Uint8Array): void {
    const fault = this.#deliver(message);
    if (fault !== undefined) this.#options.counters.add(fault);
  }

  #deliver(message: Uint8Array): AnswerFault | undefined {
    if (message.length < DNS_HEADER_BYTES) return 'dns-upstream-garbage';
    const id = readU16(message, 0);
    const request = this.#waiting.get(id);
    if (request === undefined) return 'dns-upstream-unasked';
    const answer = readAnswer(request, message);
    if (typeof answer === 'string') return answer;
    this.#left(id);
    request.answered(answer);
    return undefined;
  }

  #left(id: number): void {
    this.#waiting.delete(id);
    this.#closeWhenDone();
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (this.#closed) return;
    const code = error.code ?? 'EIO';
    // The answer to any request says the same of all: nobody listens there. The socket itself is as good as before.
    if (code === 'ECONNREFUSED') {
      this.#options.counters.add('dns-upstream-refused');
      this.#events.refused();
      return;
    }
    this.#options.counters.add('dns-upstream-unreachable');
    this.#fault = code;
    this.#events.broken(this);
    this.failAll(code);
  }

  #closeWhenDone(): void {
    if (!this.#retired || this.#closed || this.#waiting.size > 0) return;
    this.#closed = true;
    this.#socket.close();
    this.#events.closed(this);
  }
}

function isConnected(socket: Socket): boolean {
  try {
    return socket.remoteAddress() !== undefined;
  } catch {
    return false;
  }
}
