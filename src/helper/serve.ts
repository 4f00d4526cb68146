/**
 * The privileged helper: binds a port below 1024 for a user who may ask, hands the bound socket over, and does nothing
 * else.
 *
 * A connection is one request (protocol.ts). The kernel says who asks; the allow list decides; each request leaves one
 * line. Nothing that a client sends is kept longer than its connection, which lasts a second at most; connections are
 * counted, and those beyond a bound wait in the backlog.
 */
import { close, watch } from '../host/namespace/libc.ts';
import { sendDescriptor } from '../host/namespace/scm-rights.ts';
import { showPlace } from '../host/ports/places.ts';
import {
  acceptConnection,
  bindSocket,
  errorName,
  type PeerCredentials,
  peerCredentials,
  receiveBytes,
} from '../host/ports/socket-calls.ts';
import { type AllowList, isAllowed, RequestRate } from './allow-list.ts';
import {
  type BindRequest,
  dialectOf,
  type HelperAnswer,
  parseRequest,
  parseVmnetdRequest,
  REQUEST_BYTES,
  VMNETD_GREETING_BYTES,
  VMNETD_REQUEST_BYTES,
  vmnetdGreeting,
  writeAnswer,
  writeVmnetdAnswer,
} from '../host/ports/helper-protocol.ts';

const CONNECTIONS = 64;
/** One user cannot keep all others out. */
const CONNECTIONS_OF_USER = 16;
const DEADLINE_MS = 1000;
/** After accept() failed for want of descriptors. */
const REST_MS = 100;
const PRIVILEGED_END = 1024;
/** More than any dialect says; OCaml's vmnetd clients pad their request to 41 bytes. */
const CONVERSATION_BYTES = 96;

export interface HelperOptions {
  readonly allow: AllowList;
  /** Takes one line for each request. */
  readonly audit: (line: string) => void;
  /** Ends when nobody asked for so long; a socket-activated helper is started again by the next request. 0: never. */
  readonly idleMs: number;
}

/** Serves on a listening unix socket until the process ends. */
export class Helper {
  #listener: number;
  readonly #options: HelperOptions;
  readonly #rate = new RequestRate();
  readonly #open = new Map<number, number>();
  #stopWatching: (() => void) | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(listener: number, options: HelperOptions) {
    this.#listener = listener;
    this.#options = options;
    this.#listen();
  }

  /** Serves on another listening socket from now on, and closes the one before. Who is connected is answered. */
  listenAt(listener: number): void {
    this.#rest();
    close(this.#listener);
    this.#listener = listener;
    if (this.#open.size < CONNECTIONS) this.#listen();
  }

  #listen(): void {
    this.#stopWatching ??= watch(this.#listener, () => this.#accept());
    clearTimeout(this.#idle);
    if (this.#options.idleMs > 0 && this.#open.size === 0) {
      this.#idle = setTimeout(() => process.exit(0), this.#options.idleMs);
    }
  }

  #rest(): void {
    this.#stopWatching?.();
    this.#stopWatching = undefined;
  }

  #accept(): void {
    clearTimeout(this.#idle);
    const fd = acceptConnection(this.#listener);
    if (fd < 0) {
      if (['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'].includes(errorName(fd))) {
        this.#rest();
        setTimeout(() => this.#listen(), REST_MS);
      } else this.#listen();
      return;
    }
    const peer = peerCredentials(fd);
    const ofUser = [...this.#open.values()].filter((uid) => uid === peer?.uid).length;
    if (peer === undefined || ofUser >= CONNECTIONS_OF_USER) {
      close(fd);
      this.#listen();
      return;
    }
    this.#open.set(fd, peer.uid);
    if (this.#open.size >= CONNECTIONS) this.#rest();
    this.#converse(fd, peer);
  }

  #converse(fd: number, peer: PeerCredentials): void {
    const bytes = new Uint8Array(CONVERSATION_BYTES);
    let length = 0;
    let greeted = false;
    const end = (): void => {
      clearTimeout(deadline);
      stop();
      this.#open.delete(fd);
      close(fd);
      this.#listen();
    };
    const refuse = (why: string): void => {
      if (this.#rate.take(peer.uid, performance.now()) !== 'silent') this.#audit(peer, `${why}, refused`);
      end();
    };
    const deadline = setTimeout(() => refuse(`no whole request within ${DEADLINE_MS} ms`), DEADLINE_MS);
    const stop = watch(fd, () => {
      const count = receiveBytes(fd, bytes, length);
      if (count < 0) return errorName(count) === 'EAGAIN' || errorName(count) === 'EINTR' ? undefined : end();
      if (count === 0) return length === 0 ? end() : refuse('request cut short');
      length += count;
      const said = bytes.subarray(0, length);
      const dialect = dialectOf(said);
      if (dialect === 'garbage') return refuse('garbage');
      if (dialect === 'slipway' && length >= REQUEST_BYTES) {
        this.#answer(fd, peer, parseRequest(said), writeAnswer);
        return end();
      }
      if (dialect === 'vmnetd' && length >= VMNETD_GREETING_BYTES && !greeted) {
        greeted = true;
        reply(fd, vmnetdGreeting());
      }
      if (dialect === 'vmnetd' && length >= VMNETD_GREETING_BYTES + VMNETD_REQUEST_BYTES) {
        this.#answer(fd, peer, parseVmnetdRequest(said), writeVmnetdAnswer);
        return end();
      }
    });
  }

  #answer(
    fd: number,
    peer: PeerCredentials,
    request: ReturnType<typeof parseRequest>,
    write: (answer: HelperAnswer) => Uint8Array,
  ): void {
    const rate = this.#rate.take(peer.uid, performance.now());
    const what =
      typeof request === 'string' ? request : `${request.protocol} ${showPlace(request.place, request.port)}`;
    if (rate !== 'go') {
      if (rate === 'stop') this.#audit(peer, `${what} refused: asks too often (no more lines until it asks less)`);
      reply(fd, write({ status: 'too-often', errno: 0 }));
    } else if (!isAllowed(this.#options.allow, peer)) {
      this.#audit(peer, `${what} refused: not on the allow list`);
      reply(fd, write({ status: 'not-allowed', errno: 0 }));
    } else if (typeof request === 'string') {
      this.#audit(peer, `${request} refused`);
      reply(fd, write({ status: request, errno: 0 }));
    } else if (request.port === 0 || request.port >= PRIVILEGED_END) {
      this.#audit(peer, `${what} refused: only ports from 1 to ${PRIVILEGED_END - 1}`);
      reply(fd, write({ status: 'bad-request', errno: 0 }));
    } else this.#bind(fd, peer, request, what, write);
  }

  #bind(
    fd: number,
    peer: PeerCredentials,
    { protocol, place, port }: BindRequest,
    what: string,
    write: (answer: HelperAnswer) => Uint8Array,
  ): void {
    const bound = bindSocket(protocol, place, port);
    this.#audit(peer, bound < 0 ? `${what} failed: ${errorName(bound)}` : `${what} bound`);
    if (bound < 0) reply(fd, write({ status: 'bind-failed', errno: -bound }));
    else {
      reply(fd, write({ status: 'bound', errno: 0 }), bound);
      close(bound);
    }
  }

  #audit({ pid, uid, gids }: PeerCredentials, verdict: string): void {
    this.#options.audit(`uid ${uid} gid ${gids[0]} pid ${pid}: ${verdict}`);
  }
}

/**
 * An answer always fits into the socket's buffer; a client that is gone, or sends descriptors in a circle, gets none.
 */
function reply(fd: number, bytes: Uint8Array, descriptor?: number): void {
  try {
    sendDescriptor(fd, bytes, descriptor);
  } catch {
    // ETOOMANYREFS and the like: only the client has a use for the answer.
  }
}
