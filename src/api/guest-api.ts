import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import type { Counters } from '../env/counters.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { parseProxyV2 } from '../wire/proxy-v2.ts';
import { type GoAnswer, goError, goHeaders, PAGE_NOT_FOUND, POST_ONLY } from './gvproxy/go-answer.ts';
import type { Caller, PortForwarder } from './gvproxy/port-forwarder.ts';

/** Connections at once: a publish is one short request. */
const MAX_CONNECTIONS = 128;
/** A quarter: one guest leaves room for three more like it. */
const MAX_CONNECTIONS_OF_GUEST = MAX_CONNECTIONS / 4;
/** A guest that has not said all of a request by then, or nothing more, is not waited for. */
const SLOW_MS = 10_000;
/** A request is some 100 bytes. */
const MAX_BODY_BYTES = 64 * 1024;
/** Far more than the header that the network thread writes. */
const MAX_HEADER_BYTES = 512;

const TOO_LARGE = goError(413, 'http: request body too large');

/** A guest behind a connection. */
interface Visitor {
  readonly address: number;
  readonly port: number;
  /** Ends the connection of a guest that dawdles. */
  late: NodeJS.Timeout | undefined;
}

/**
 * The API at the gateway's port 80, as guests reach it: of gvproxy's only the port forwarder, with which Podman publishes the ports of
 * containers. A guest sees and manages what it made itself; see PortForwarder for what it may not ask for.
 *
 * An ordinary server on a unix socket, where each connection begins with a PROXY v2 header that names the guest; that, not what the request
 * says, decides who asks. Connections are limited in all and for each guest, bodies in size, and requests in time (10 s). The
 * caller makes `server` listen.
 */
export class GuestApi {
  readonly server: Server;
  readonly #forwarder: () => Promise<PortForwarder>;
  readonly #counters: Counters;
  /** Loaded by the first guest that comes. */
  #http: Promise<HttpServer> | undefined;
  /** All connections; those that have said who they are, with that. */
  readonly #visitors = new Map<Socket, Visitor | undefined>();

  /** `forwarder`: asked for with the first request. */
  constructor(forwarder: () => Promise<PortForwarder>, counters: Counters) {
    this.#forwarder = forwarder;
    this.#counters = counters;
    this.server = createServer({ allowHalfOpen: true }, (socket) => this.#introduce(socket));
    this.server.maxConnections = MAX_CONNECTIONS;
    this.server.on('drop', () => counters.add('guest-api-connection-limit'));
  }

  /** Ends listening and every connection. */
  close(): void {
    this.server.close();
    for (const socket of this.#visitors.keys()) socket.destroy();
  }

  /** Reads the header; what stands behind it is HTTP. */
  #introduce(socket: Socket): void {
    this.#visitors.set(socket, undefined);
    // The guest went away, or was sent away: nobody to tell.
    socket.on('error', () => socket.destroy());
    const late = setTimeout(() => socket.destroy(), SLOW_MS);
    const leave = (): void => void socket.destroy();
    let held = Buffer.alloc(0);
    const read = (): void => {
      held = Buffer.concat([held, (socket.read() as Buffer | null) ?? Buffer.alloc(0)]);
      const header = parseProxyV2(held, 0, held.length);
      if (header === undefined && held.length < MAX_HEADER_BYTES) return;
      clearTimeout(late);
      socket.off('readable', read).off('end', leave);
      if (header === undefined || typeof header === 'string') {
        this.#counters.add('guest-api-fault');
        socket.destroy();
        return;
      }
      socket.unshift(held.subarray(header.headerBytes));
      this.#admit(socket, { address: header.sourceAddress, port: header.sourcePort, late: undefined });
    };
    socket.once('close', () => {
      clearTimeout(late);
      clearTimeout(this.#visitors.get(socket)?.late);
      this.#visitors.delete(socket);
    });
    socket.on('readable', read).once('end', leave);
  }

  #admit(socket: Socket, visitor: Visitor): void {
    const open = [...this.#visitors.values()].filter((one) => one?.address === visitor.address).length;
    if (open >= MAX_CONNECTIONS_OF_GUEST) {
      this.#counters.add('guest-api-connection-limit-of-guest');
      socket.destroy();
      return;
    }
    this.#visitors.set(socket, visitor);
    this.#awaitRequest(socket, visitor);
    this.#http ??= this.#load();
    void this.#http.then((http) => {
      if (!socket.destroyed) http.emit('connection', socket);
    });
  }

  async #load(): Promise<HttpServer> {
    const { createServer: createHttpServer } = await import('node:http');
    return createHttpServer({ keepAliveTimeout: SLOW_MS }, (request, response) => {
      void this.#serve(request, response).catch(() => request.socket.destroy());
    });
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
    const answer = body === undefined ? TOO_LARGE : await this.#answer(request, body, visitor);
    response.shouldKeepAlive &&= body !== undefined;
    // Who does not read the answer is as slow as who does not ask.
    if (!socket.destroyed) this.#awaitRequest(socket, visitor);
    response.writeHead(answer.status, { ...goHeaders(answer), 'content-length': Buffer.byteLength(answer.body) });
    response.end(answer.body);
  }

  async #answer({ method, url = '' }: IncomingMessage, body: Uint8Array, visitor: Visitor): Promise<GoAnswer> {
    const { address, port } = visitor;
    const caller: Caller = { remoteAddress: `${formatIpv4Address(address)}:${port}`, guest: address };
    const forwarder = await this.#forwarder();
    switch (url.split('?', 1)[0]) {
      case '/services/forwarder/all':
        return forwarder.all(caller);
      case '/services/forwarder/expose':
        return method === 'POST' ? forwarder.expose(body, caller) : POST_ONLY;
      case '/services/forwarder/unexpose':
        return method === 'POST' ? forwarder.unexpose(body, caller) : POST_ONLY;
      default:
        return PAGE_NOT_FOUND;
    }
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
