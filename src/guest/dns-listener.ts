import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, isIPv6, type Server } from 'node:net';
import type { Counters } from '../env/counters.ts';
import { DnsConversation } from './dns-conversation.ts';
import type { DnsExchange, DnsFront } from './dns-front.ts';

/** TCP connections of askers at once, per address: each may hold 64 questions. */
const MAX_CONNECTIONS = 128;
/** A burst of all containers at once waits in the kernel, up to its own limit (net.core.rmem_max). */
const RECEIVE_BUFFER_BYTES = 1 << 20;
/** With port 0 the kernel chooses one for UDP, which another program may have for TCP. */
const PORT_TRIES = 8;

export interface DnsListenerOptions {
  readonly front: DnsFront;
  readonly udp: DnsExchange;
  readonly tcp: DnsExchange;
  readonly counters: Counters;
}

/** UDP and TCP at one address. */
export class DnsListener {
  readonly address: string;
  readonly #datagrams: DatagramSocket;
  readonly #connections: Server;
  readonly #conversations: Set<DnsConversation>;
  #closed = false;

  private constructor(
    address: string,
    datagrams: DatagramSocket,
    connections: Server,
    conversations: Set<DnsConversation>,
  ) {
    this.address = address;
    this.#datagrams = datagrams;
    this.#connections = connections;
    this.#conversations = conversations;
  }

  get port(): number {
    return this.#datagrams.address().port;
  }

  /** Both sockets are bound when it resolves. Rejects with the system's error; `transport` on it says whose. */
  static async open(address: string, port: number, options: DnsListenerOptions): Promise<DnsListener> {
    for (let left = PORT_TRIES; ; left--) {
      const datagrams = await boundDatagrams(address, port);
      const conversations = new Set<DnsConversation>();
      const connections = conversationServer(options, conversations);
      try {
        connections.listen({ host: address, port: datagrams.address().port });
        await once(connections, 'listening');
      } catch (error) {
        datagrams.close();
        if (port === 0 && left > 1 && (error as NodeJS.ErrnoException).code === 'EADDRINUSE') continue;
        throw Object.assign(error as Error, { transport: 'tcp' });
      }
      const listener = new DnsListener(address, datagrams, connections, conversations);
      listener.#serve(options);
      return listener;
    }
  }

  /** Idempotent. Ends the connections too. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#datagrams.close();
    this.#connections.close();
    for (const conversation of this.#conversations) conversation.close();
  }

  #serve({ front, udp, counters }: DnsListenerOptions): void {
    // accept(2) without a descriptor to spare (EMFILE), a receive that failed: the next one may do.
    this.#datagrams.on('error', () => counters.add('udp-fault'));
    this.#connections.on('error', () => counters.add('accept-fault'));
    this.#connections.on('drop', () => counters.add('too-many-connections'));
    this.#datagrams.on('message', (message, asker) => {
      // A container may forge its source port (RFC 768 allows 0); nothing can be sent to that one.
      if (asker.port === 0) {
        counters.add('dropped');
        return;
      }
      const answer = front.answer(message, udp);
      if (answer === undefined) return;
      if (answer instanceof Promise)
        void answer.then((bytes) => this.#send(bytes, asker.port, asker.address, counters));
      else this.#send(answer, asker.port, asker.address, counters);
    });
  }

  #send(answer: Uint8Array, port: number, address: string, counters: Counters): void {
    if (this.#closed) return;
    this.#datagrams.send(answer, port, address, (error) => {
      if (error !== null) counters.add('not-sent');
    });
  }
}

async function boundDatagrams(address: string, port: number): Promise<DatagramSocket> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  try {
    socket.bind({ address, port, exclusive: true });
    await once(socket, 'listening');
  } catch (error) {
    socket.close();
    throw Object.assign(error as Error, { transport: 'udp' });
  }
  socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
  return socket;
}

function conversationServer({ front, tcp, counters }: DnsListenerOptions, open: Set<DnsConversation>): Server {
  // Half-open: who has asked everything may close its side and still hears the answers.
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const conversation = new DnsConversation(socket, front, tcp, counters);
    open.add(conversation);
    socket.on('close', () => open.delete(conversation));
  });
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}
