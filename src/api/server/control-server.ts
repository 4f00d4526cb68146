import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type FastifyBaseLogger, type FastifyInstance, type FastifyServerOptions, fastify } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { SlipwayError } from '../../facts/errors.ts';
import { type AccessRules, type ControlPeer, refusal } from './control-access.ts';
import { firstLine, type RequestLine } from './first-line.ts';
import { allowHalfOpen } from './half-open.ts';
import { boundJsonDepth } from './json-body.ts';
import { type Problem, problemOf } from './problem.ts';
import { RequestsInFlight } from './requests-in-flight.ts';
import { schemaValidator } from './schema-validator.ts';

/** Where paths are added: fastify, whose schemas are zod's. */
export type ControlScope = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, ZodTypeProvider>;

/** Requests that end HTTP on their connection; another protocol follows. */
export interface TakeOver {
  /** Known by the first line of a connection; a later request on the same connection is never taken over. */
  takes(line: RequestLine): boolean;
  /** Owns the socket from here on. `head` is what the client sent behind its request already. */
  take(request: IncomingMessage, socket: Socket, head: Uint8Array): void;
}

/** Paths of the same server that follow other conventions than ours. */
export interface ControlExtension {
  /** Adds paths. `scope` is separate: body parsers, error handlers and hooks that are set there apply only there. */
  routes?(scope: ControlScope): void;
  readonly takeOvers?: readonly TakeOver[];
}

export interface ControlServerOptions {
  rules(): AccessRules;
  readonly takeOvers: readonly TakeOver[];
  /** Called with an error that is a defect. */
  onDefect(error: unknown): void;
  /** A connection was closed for more requests than it may have in flight. */
  onGreed?(): void;
  /** How long a request may take to arrive, its body included; 30 s unless told. */
  readonly requestMs?: number;
}

/** Most bodies are a few hundred bytes; paths that take more say so. */
const BODY_BYTES = 1024 * 1024;
/** A forward's id holds a socket's path, each byte of which may be written as three. */
const MAX_PARAM_LENGTH = 512;
const KEEP_ALIVE_MS = 30_000;
/** A connection without a byte in either direction for this long is closed. Event streams send something every 15 s. */
const SILENCE_MS = 120_000;
/** How long a whole request may take to arrive: a slow one occupies a connection that others could use. */
const REQUEST_MS = 30_000;
/** Replaces ajv and fastify's serializers, which are then not even loaded. The type of the option knows only ajv. */
const COMPILERS = {
  buildValidator: () => schemaValidator,
  buildSerializer: () => () => JSON.stringify,
} as unknown as NonNullable<NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']>;
/** Makes node:http stop parsing behind the request and hand over the socket, whatever the request was. */
const UPGRADE = 'Connection: upgrade\r\nUpgrade: slipway\r\n';

/**
 * An HTTP server that does not listen itself: it is handed connections. Every refusal, however early, is `{code,
 * message, hint}`.
 *
 * `scope` is fastify; what is added in a scope of its own (`register`) may have its own content types, errors and
 * hooks. Who may ask is checked before all else, in every scope and for what is taken over.
 */
export class ControlServer {
  readonly scope: ControlScope;
  readonly #options: ControlServerOptions;
  readonly #peers = new WeakMap<Socket, ControlPeer>();
  /**
   * Hears of taken-over requests alone, so that others may offer an upgrade (h2c, as curl does) and are served without.
   */
  readonly #taken: Server;
  readonly #inFlight = new RequestsInFlight();

  constructor(options: ControlServerOptions) {
    this.#options = options;
    const { requestMs = REQUEST_MS } = options;
    // Over TCP the rules ask for a Host themselves, and say so in words.
    const settings = {
      headersTimeout: requestMs,
      connectionsCheckingInterval: Math.ceil(requestMs / 4),
      requireHostHeader: false,
      requestTimeout: requestMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
    };
    const serverFactory: NonNullable<FastifyServerOptions['serverFactory']> = (handler) => {
      const server = createServer(settings, (request, response) => {
        if (this.#inFlight.admit(request, response)) handler(request, response);
        else if (!request.socket.destroyed) {
          request.socket.destroy();
          options.onGreed?.();
        }
      });
      return allowHalfOpen(server).setTimeout(SILENCE_MS);
    };
    this.scope = fastify<Server, IncomingMessage, ServerResponse>({
      bodyLimit: BODY_BYTES,
      serverFactory,
      routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
      schemaController: { compilersFactory: COMPILERS },
      clientErrorHandler: (error, socket) => refuseRaw(socket, unreadable(error)),
      frameworkErrors: (error, _request, { raw }) => {
        const { status, body } = problemOf(error);
        // It runs before the reply has a route.
        raw.writeHead(status, { 'content-type': JSON_TYPE }).end(JSON.stringify(body));
      },
    }).withTypeProvider<ZodTypeProvider>();
    this.scope.removeContentTypeParser('text/plain');
    boundJsonDepth(this.scope as unknown as FastifyInstance);
    this.scope.addHook('onRequest', async (request) => {
      const refused = this.#refusal(request.raw);
      if (refused !== undefined) throw refused;
    });
    this.scope.addHook('onRequest', async ({ raw: { headers } }) => {
      // An empty body is none, whatever type a client gives all of its requests.
      const none = (headers['content-length'] ?? '0') === '0' && headers['transfer-encoding'] === undefined;
      if (none) delete headers['content-type'];
    });
    this.scope.setErrorHandler((error, request, reply) => {
      const { status, body } = problemOf(error);
      if (status >= 500 && !(error instanceof SlipwayError)) options.onDefect(error);
      if (status === 401) void reply.header('www-authenticate', 'Bearer');
      // The client may still be sending the body that was refused.
      if (status === 413) void reply.header('connection', 'close');
      return reply
        .code(status)
        .type(JSON_TYPE)
        .send(JSON.stringify(request.method === 'HEAD' ? undefined : body));
    });
    this.#taken = allowHalfOpen(createServer(settings));
    // node:http looks at its clocks only from then on, and these never listen.
    for (const server of [this.scope.server, this.#taken]) server.emit('listening');
    this.#taken.on('upgrade', (request, socket, head) => this.#take(request, socket as Socket, head));
    this.#taken.on('clientError', (error: NodeJS.ErrnoException, socket) =>
      refuseRaw(socket as Socket, unreadable(error)),
    );
  }

  async ready(): Promise<void> {
    await this.scope.ready();
  }

  /** Whether no client waits for an answer on this connection. */
  isIdle(socket: Socket): boolean {
    return this.#inFlight.isIdle(socket);
  }

  /** Serves what comes on a connection. */
  serve(socket: Socket, peer: ControlPeer): void {
    this.#peers.set(socket, peer);
    const { takeOvers } = this.#options;
    if (takeOvers.length === 0) {
      this.scope.server.emit('connection', socket);
      return;
    }
    firstLine(socket, (line) => {
      const taken = line !== undefined && takeOvers.some((one) => one.takes(line));
      const server = taken ? this.#taken : this.scope.server;
      return { insert: taken ? UPGRADE : '', serve: () => void server.emit('connection', socket) };
    });
  }

  #take(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const refused = this.#refusal(request);
    if (refused !== undefined) {
      refuseRaw(socket, problemOf(refused));
      return;
    }
    const line = { method: request.method ?? '', target: request.url ?? '' };
    const one = this.#options.takeOvers.find((each) => each.takes(line));
    if (one === undefined) socket.destroy();
    else {
      this.#inFlight.takenOver(socket);
      one.take(request, socket, head);
    }
  }

  #refusal(request: IncomingMessage): SlipwayError | undefined {
    // A connection that nobody told of is the one that needs most.
    return refusal(request, this.#peers.get(request.socket) ?? 'tcp', this.#options.rules());
  }
}

const JSON_TYPE = 'application/json; charset=utf-8';

/** A request that the HTTP parser rejected. */
function unreadable(error: NodeJS.ErrnoException): Problem {
  const [status, message] = UNREADABLE[error.code ?? ''] ?? [400, 'the request is not valid HTTP/1.1'];
  return { status, body: problemOf({ statusCode: 400, message }).body };
}

const UNREADABLE: Readonly<Record<string, readonly [status: number, message: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'the headers are too large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the request took too long to arrive'],
};

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
};

/** Answers on the bare socket, where there is no reply object, and closes it. */
function refuseRaw(socket: Socket, { status, body }: Problem): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const text = JSON.stringify(body);
  socket.end(
    `HTTP/1.1 ${status} ${REASONS[status] ?? 'Error'}\r\nContent-Type: ${JSON_TYPE}\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
    () => socket.destroy(),
  );
}
