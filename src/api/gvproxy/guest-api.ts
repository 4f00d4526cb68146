import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http';
import type { Server, Socket } from 'node:net';
import type { Counters } from '../../env/counters.ts';
import { GuestListener, type GuestPlace } from '../../services/guest-listener.ts';
import { GuestRate } from '../../services/guest-rate.ts';
import { formatIpv4Address } from '../../wire/ipv4-address.ts';
import { answered, assertPost, headersOf, notFound, Refusal, refused, type TextAnswer } from './answer.ts';
import type { Caller, PortForwarder } from './port-forwarder.ts';
import { allowHalfOpen } from '../server/half-open.ts';

/** A guest that has not said all of a request by then, or nothing more, is not waited for. */
const SLOW_MS = 10_000;
/** A request is some 100 bytes. */
const MAX_BODY_BYTES = 64 * 1024;
/** Twice all forwards that a guest may have, so that a restart of all its containers is not held up. */
const EXPOSES_AT_ONCE = 1_024;
/** Each takes about a millisecond of the control thread, so this is at most a twentieth of it. */
const EXPOSES_PER_SECOND = 50;
/** A guest behind a connection. */
interface Visitor extends GuestPlace {
  /** Ends the connection of a guest that dawdles. */
  late: NodeJS.Timeout | undefined;
}

/**
 * The API at the gateway's port 80, as guests reach it: of gvproxy's only the port forwarder, with which Podman
 * publishes the ports of containers. A guest sees and manages what it made itself; see PortForwarder for what it may
 * not ask for.
 *
 * GuestListener knows which guest a connection is of, whatever its requests say, and limits connections; here bodies
 * are limited in size, requests in time (10 s), and exposing in number (50 a second). The caller makes `server` listen.
 */
export class GuestApi {
  readonly #listener: GuestListener;
  readonly #forwarder: () => Promise<PortForwarder>;
  readonly #counters: Counters;
  /** Loaded by the first guest that comes. */
  #http: Promise<HttpServer> | undefined;
  readonly #visitors = new Map<Socket, Visitor>();
  readonly #exposes = new GuestRate(EXPOSES_PER_SECOND, EXPOSES_AT_ONCE);

  /** `forwarder`: asked for with the first request. */
  constructor(forwarder: () => Promise<PortForwarder>, counters: Counters) {
    this.#forwarder = forwarder;
    this.#counters = counters;
    this.#listener = new GuestListener({
      counters,
      refusals: {
        limit: 'guest-api-connection-limit',
        limitOfGuest: 'guest-api-connection-limit-of-guest',
        fault: 'guest-api-fault',
      },
      serve: (socket, guest) => this.#welcome(socket, guest),
    });
  }

  get server(): Server {
    return this.#listener.server;
  }

  /** Ends listening and every connection. */
  close(): void {
    this.#listener.close();
  }

  #welcome(socket: Socket, guest: GuestPlace): void {
    const visitor: Visitor = { ...guest, late: undefined };
    this.#visitors.set(socket, visitor);
    socket.once('close', () => {
      clearTimeout(visitor.late);
      this.#visitors.delete(socket);
    });
    this.#awaitRequest(socket, visitor);
    this.#http ??= this.#load();
    void this.#http.then((http) => {
      if (!socket.destroyed) http.emit('connection', socket);
    });
  }

  async #load(): Promise<HttpServer> {
    const { createServer: createHttpServer } = await import('node:http');
    const server = createHttpServer({ keepAliveTimeout: SLOW_MS }, (request, response) => {
      void this.#serve(request, response).catch(() => request.socket.destroy());
    });
    return allowHalfOpen(server);
  }

  #awaitRequest(socket: Socket, visitor: Visitor): void {
    clearTimeout(visitor.late);
    visitor.late = setTimeout(() => {
      this.#counters.add('guest-api-slow');
      socket.destroy();
    }, SLOW_MS);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    const visitor = this.#visitors.get(socket);
    if (visitor === undefined) return;
    const body = await readBody(request);
    clearTimeout(visitor.late);
    const answer = await this.#answer(request, body, visitor);
    response.shouldKeepAlive &&= body !== undefined;
    // Who does not read the answer is as slow as who does not ask.
    if (!socket.destroyed) this.#awaitRequest(socket, visitor);
    response.writeHead(answer.status, { ...headersOf(answer), 'content-length': Buffer.byteLength(answer.body) });
    response.end(answer.body);
  }

  async #answer(request: IncomingMessage, body: Uint8Array | undefined, visitor: Visitor): Promise<TextAnswer> {
    try {
      if (body === undefined) throw new Refusal(413, 'http: request body too large');
      return answered(await this.#handle(request, body, visitor));
    } catch (error) {
      return refused(error);
    }
  }

  async #handle({ method, url = '', headers }: IncomingMessage, body: Uint8Array, visitor: Visitor): Promise<unknown> {
    // Browsers send Origin with each POST and with whatever goes to another site; programs that publish ports never do.
    if (headers.origin !== undefined) {
      this.#counters.add('guest-api-web-page');
      throw new Refusal(403, 'requests of web pages are not served: this one has an Origin header');
    }
    const { address, port, attachment } = visitor;
    const caller: Caller = { remoteAddress: `${formatIpv4Address(address)}:${port}`, guest: { address, attachment } };
    const forwarder = await this.#forwarder();
    switch (url.split('?', 1)[0]) {
      case '/services/forwarder/all':
        return forwarder.all(caller);
      case '/services/forwarder/expose':
        assertPost(method);
        this.#assertMayExpose(attachment);
        return forwarder.expose(body, caller);
      case '/services/forwarder/unexpose':
        assertPost(method);
        return forwarder.unexpose(body, caller);
      default:
        throw notFound();
    }
  }

  #assertMayExpose(attachment: string): void {
    if (this.#exposes.take(attachment)) return;
    this.#counters.add('guest-api-expose-limit');
    const [burst, rate] = [EXPOSES_AT_ONCE, EXPOSES_PER_SECOND];
    throw new Refusal(
      429,
      `too many requests: a guest may expose ${burst} ports at once and ${rate} a second after that`,
    );
  }
}

/** Undefined when it is longer than it may be; the rest is then read and forgotten. */
function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const parts: Buffer[] = [];
  let length = 0;
  return new Promise((resolve, reject) => {
    request.on('data', (part: Buffer) => {
      length += part.length;
      if (length <= MAX_BODY_BYTES) parts.push(part);
      else resolve(undefined);
    });
    request.once('end', () => resolve(Buffer.concat(parts)));
    request.once('error', reject);
  });
}
