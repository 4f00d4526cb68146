import { createServer, type Server, type Socket } from 'node:net';
import type { Counters } from '../env/counters.ts';
import { Tally } from '../turn/tally.ts';
import { parseProxyV2 } from '../wire/proxy-v2.ts';

/** Connections at once, for each service: guests' connections to the gateway are short. */
const MAX_CONNECTIONS = 128;
/** A quarter: one guest leaves room for three more like it. */
const MAX_CONNECTIONS_OF_GUEST = MAX_CONNECTIONS / 4;
/** More than the header that the network thread writes, which is at most 431 bytes. */
const MAX_HEADER_BYTES = 512;
/** The network thread writes the header at once. */
const HEADER_MS = 10_000;

/** Who is at the other end of a connection. */
export interface GuestPlace {
  /** As the guest chose it. */
  readonly address: number;
  readonly port: number;
  /** `Port.attachment`, which it did not choose. */
  readonly attachment: string;
}

export interface GuestListenerOptions {
  readonly counters: Counters;
  /**
   * What is counted when a connection is refused: there are too many, or too many of this guest, or it has no header.
   */
  readonly refusals: { readonly limit: string; readonly limitOfGuest: string; readonly fault: string };
  /** Takes over a connection; what the guest says can be read from it. */
  serve(socket: Socket, guest: GuestPlace): void;
}

/**
 * Where a service at the gateway meets its guests: an ordinary server on a unix socket, to which the network thread
 * connects for a guest and says by a PROXY v2 header which one it is. That header, not what the guest says, decides who
 * is served. Connections are limited, in all and for each guest, which is its attachment: addresses it could have many
 * of. The caller makes `server` listen.
 */
export class GuestListener {
  readonly server: Server;
  readonly #options: GuestListenerOptions;
  readonly #sockets = new Set<Socket>();
  /** Open connections of each guest that has any. */
  readonly #guests = new Tally<string>();

  constructor(options: GuestListenerOptions) {
    this.#options = options;
    // Half-open: who has asked everything may close its side and still hears the answers.
    this.server = createServer({ allowHalfOpen: true }, (socket) => this.#readHeader(socket));
    this.server.maxConnections = MAX_CONNECTIONS;
    this.server.on('drop', () => options.counters.add(options.refusals.limit));
  }

  /** Ends listening and every connection. */
  close(): void {
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #readHeader(socket: Socket): void {
    this.#sockets.add(socket);
    const late = setTimeout(() => socket.destroy(), HEADER_MS);
    socket.once('close', () => {
      clearTimeout(late);
      this.#sockets.delete(socket);
    });
    // The guest went away, or was sent away: nobody to tell.
    socket.on('error', () => socket.destroy());
    const leave = (): void => void socket.destroy();
    let held = Buffer.alloc(0);
    const read = (): void => {
      held = Buffer.concat([held, (socket.read() as Buffer | null) ?? Buffer.alloc(0)]);
      const header = parseProxyV2(held, 0, held.length);
      if (header === undefined && held.length < MAX_HEADER_BYTES) return;
      clearTimeout(late);
      socket.off('readable', read).off('end', leave);
      if (header === undefined || typeof header === 'string') {
        this.#refuse(socket, this.#options.refusals.fault);
        return;
      }
      const { sourceAddress, sourcePort, attachmentAt, attachmentBytes, headerBytes } = header;
      const attachment = held.toString('utf8', attachmentAt, attachmentAt + attachmentBytes);
      socket.unshift(held.subarray(headerBytes));
      this.#admit(socket, { address: sourceAddress, port: sourcePort, attachment });
    };
    socket.on('readable', read).once('end', leave);
  }

  #admit(socket: Socket, guest: GuestPlace): void {
    const { attachment } = guest;
    if (this.#guests.of(attachment) >= MAX_CONNECTIONS_OF_GUEST) {
      this.#refuse(socket, this.#options.refusals.limitOfGuest);
      return;
    }
    this.#guests.add(attachment);
    socket.once('close', () => this.#guests.drop(attachment));
    this.#options.serve(socket, guest);
  }

  #refuse(socket: Socket, counter: string): void {
    this.#options.counters.add(counter);
    socket.destroy();
  }
}
