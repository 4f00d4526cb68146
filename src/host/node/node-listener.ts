/**
 * The listening sockets of one forward over node:net, which binds them itself: an error of binding comes before the
 * next turn (`failed`), not from the call.
 *
 * Node cannot stop listening and keep the port: a paused listener accepts its clients and resets them (capability
 * `refusal`: false). Out of descriptors libuv accepts and closes what it cannot keep; nothing tells how many.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { Counters } from '../../env/counters.ts';
import type { HostErrorCode } from '../../env/host.ts';
import type { BoundSockets, HostClient, HostListener, HostListenerHandler } from '../../env/host-listener.ts';
import { hostErrorCode } from '../errno.ts';
import { MAPPED_ADDRESS_BYTES, parseMappedAddress, readMappedAddress } from '../mapped-address.ts';
import { SocketFile } from '../files/socket-file.ts';
import type { NodeStream } from './node-stream.ts';

/** The kernel takes net.core.somaxconn when that is less. */
const BACKLOG = 4096;

export interface NodeListenerOptions {
  readonly counters: Counters;
  /** Makes a stream of an accepted socket. */
  readonly adopt: (socket: Socket, isUnix: boolean) => NodeStream;
  readonly wake: () => void;
}

type Addresses = Extract<BoundSockets, { kind: 'addresses' }>['addresses'];

export class NodeListener implements HostListener {
  readonly #options: NodeListenerOptions;
  readonly #handler: HostListenerHandler;
  readonly #servers: { readonly server: Server; readonly file: SocketFile | undefined }[] = [];
  #state: 'paused' | 'listening' | 'closed' = 'paused';

  constructor(addresses: Addresses, handler: HostListenerHandler, options: NodeListenerOptions) {
    this.#options = options;
    this.#handler = handler;
    for (const address of addresses) this.#listen(address);
  }

  pause(): void {
    if (this.#state === 'listening') this.#state = 'paused';
  }

  resume(): HostErrorCode | undefined {
    if (this.#state === 'paused') this.#state = 'listening';
    return undefined;
  }

  close(): void {
    this.#state = 'closed';
    for (const { server, file } of this.#servers) if (server.listening) closeServer(server, file);
    this.#servers.length = 0;
  }

  #listen({ address, port, index, path }: Addresses[number]): void {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      this.#accept(socket, index, path !== undefined),
    );
    const file = path === undefined ? undefined : new SocketFile(path);
    this.#servers.push({ server, file });
    let bound = false;
    server.on('error', (error) => {
      if (this.#state === 'closed') return;
      if (bound) this.#options.counters.add('forward-accept-failed');
      else this.#handler.failed?.(hostErrorCode(error), index);
      this.#options.wake();
    });
    server.once('listening', () => {
      bound = true;
      file?.claim();
      // Closed before it could be bound.
      if (this.#state === 'closed') closeServer(server, file);
    });
    const shared = { backlog: BACKLOG, exclusive: true };
    if (path === undefined) server.listen({ ...shared, host: address, port, ipv6Only: address.includes(':') });
    else server.listen({ ...shared, path });
  }

  #accept(socket: Socket, index: number, isUnix: boolean): void {
    const client = clientOf(socket);
    const stream = this.#options.adopt(socket, isUnix);
    // A TCP client without a port was gone before it was accepted.
    const takes = this.#state === 'listening' && (isUnix || client.port > 0);
    const handler = takes ? this.#handler.accepted(stream, client, index) : undefined;
    if (handler === undefined) stream.abort();
    else stream.handler = handler;
    this.#options.wake();
  }
}

function closeServer(server: Server, file: SocketFile | undefined): void {
  if (file === undefined) server.close();
  else file.closing(() => server.close());
}

function clientOf(socket: Socket): HostClient {
  const none = new Uint8Array(MAPPED_ADDRESS_BYTES);
  const { remoteAddress, remotePort = 0, localAddress, localPort = 0 } = socket;
  const clientBytes = remoteAddress === undefined ? none : parseMappedAddress(remoteAddress);
  const localBytes = localAddress === undefined || remotePort === 0 ? none : parseMappedAddress(localAddress);
  const address = remotePort === 0 ? -1 : readMappedAddress(clientBytes, 0);
  return { address, port: remotePort, clientBytes, localBytes, localPort };
}
