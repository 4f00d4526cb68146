import type { HostAddress } from '../../../src/env/host.ts';
import { LOOPBACK4 } from '../../../src/env/host.ts';
import { hostAddressText } from '../../../src/host/address-text.ts';
import type { MemoryUdpClient } from '../../../src/host/memory/memory-datagram-server.ts';
import { MemoryHost } from '../../../src/host/memory/memory-host.ts';
import type { Acceptor, MemoryPeer, MemoryPeerHandler } from '../../../src/host/memory/memory-stream.ts';
import { PlainArena } from '../../support/plain-arena.ts';
import type {
  Bound,
  Harness,
  ListenOptions,
  PeerAddress,
  PeerConnection,
  PeerDatagram,
  PeerPlace,
  PeerServer,
  Peers,
  UnreachableAddresses,
} from '../suite/harness.ts';

/** More polls than any case needs; in memory each delivers all that is under way. */
const MAX_POLLS = 10_000;

/** The in-memory host: a poll is one `deliver`. */
export function createMemoryHarness(): Harness {
  const arena = new PlainArena(8 << 20);
  const host = new MemoryHost(arena);
  const peers = new MemoryPeers(host);
  let nextDescriptor = 100;
  return {
    host,
    arena,
    peers,
    bind: async (_protocol, wanted): Promise<Bound> => {
      const places = wanted.map(({ address }) => ({ address, port: peers.nextPort() }));
      return {
        sockets: { kind: 'addresses', addresses: places.map((place, i) => named(place, wanted[i]!.index)) },
        places,
      };
    },
    bindUnix: async (path): Promise<Bound> => {
      const sockets = { kind: 'addresses', addresses: [{ address: '', port: 0, index: 0, path }] } as const;
      return { sockets, places: [{ address: 0, port: 0, path }] };
    },
    pair: async () => {
      const peer = new MemoryPeerConnection();
      const fd = nextDescriptor++;
      host.clients.offerStream(fd, (end) => peer.attach(end));
      return { fd, peer };
    },
    poll: async () => {
      host.deliver();
    },
    until: async (condition, what) => {
      for (let i = 0; !condition(); i++) {
        if (i === MAX_POLLS) throw new Error(`Waited in vain for ${what}`);
        host.deliver();
      }
    },
    listenPipes: async (path, accept) => host.listenPipes(path, accept),
    close: async () => {},
  };
}

/** The suite's peers as scripts of the in-memory host. */
class MemoryPeers implements Peers {
  readonly unreachable: UnreachableAddresses = {
    blackHole: 0x0a630007,
    hostUnreachable: 0x0a620001,
    prohibited: 0x0a610001,
    networkUnreachable: 0x0a600001,
    behindRouter: 0x0a5e0007,
    router: 0x0a5f0002,
    routerMtu: 1280,
    narrow: 0x7f090001,
    narrowMtu: 1500,
  };
  readonly echoAddress: HostAddress = LOOPBACK4;
  readonly #host: MemoryHost;
  #lastPort = 999;

  constructor(host: MemoryHost) {
    this.#host = host;
    const { blackHole, hostUnreachable, networkUnreachable, prohibited, router, routerMtu } = this.unreachable;
    const behindRouter = this.unreachable.behindRouter as number;
    host.blackHole(blackHole);
    host.failDial(hostUnreachable, 0, 'EHOSTUNREACH');
    host.failDial(networkUnreachable, 0, 'ENETUNREACH', true);
    host.failDial(prohibited, 0, 'EACCES');
    host.blackHole(behindRouter);
    host.route(behindRouter, [router]);
    host.pathMtu(behindRouter, routerMtu, router);
    host.pathMtu(this.unreachable.narrow, this.unreachable.narrowMtu, 0);
    host.answerEcho(this.unreachable.narrow);
    host.answerEcho(this.echoAddress);
  }

  nextPort(): number {
    return ++this.#lastPort;
  }

  async listenTcp(options: ListenOptions = {}): Promise<PeerServer> {
    const [address, port] = [options.address ?? LOOPBACK4, this.nextPort()];
    const connections: MemoryPeerConnection[] = [];
    this.#host.listenTcp(address, port, collect(connections, options));
    return { address, port, connections };
  }

  async listenService(name: string): Promise<PeerServer> {
    const connections: MemoryPeerConnection[] = [];
    this.#host.listenService(name, collect(connections, {}));
    return { address: LOOPBACK4, port: 0, connections };
  }

  async unusedPort(): Promise<number> {
    return this.nextPort();
  }

  async openUdp(options: { address?: HostAddress; echo?: boolean } = {}): Promise<PeerDatagram> {
    const received: { bytes: Uint8Array; from: PeerAddress }[] = [];
    const peer = this.#host.listenUdp(options.address ?? LOOPBACK4, this.nextPort(), ({ bytes, from, reply }) => {
      received.push({ bytes, from });
      if (options.echo) reply(bytes);
    });
    const { address, port } = peer;
    const clients = new Map<string, MemoryUdpClient>();
    return {
      address,
      port,
      received,
      send: (bytes, to) => {
        peer.send(bytes, to.port);
        // The same of what the core serves: one of the two is there.
        const place = { address: hostAddressText(to.address), port: to.port };
        const name = `${place.address} ${to.port}`;
        const answered = (answer: Uint8Array): void => void received.push({ bytes: answer, from: to });
        const client = clients.get(name) ?? this.#host.clients.openUdp(place, { address, port }, answered);
        clients.set(name, client);
        client.send(bytes);
      },
      close: async () => peer.close(),
    };
  }

  connect(to: PeerPlace): PeerConnection {
    const from = { address: to.address, port: to.path === undefined ? this.nextPort() : 0 };
    const connection = new MemoryPeerConnection(to.path === undefined ? from : undefined);
    const name = to.path === undefined ? { address: hostAddressText(to.address), port: to.port } : { path: to.path };
    const origin = { ...from, local: to.address, localPort: to.port };
    this.#host.clients.connect(name, origin, (peer) => connection.attach(peer));
    return connection;
  }

  async dialPipe(path: string): Promise<PeerConnection> {
    const connections: MemoryPeerConnection[] = [];
    this.#host.connectPipe(path, collect(connections, {}));
    this.#host.deliver();
    return connections[0] as PeerConnection;
  }

  async close(): Promise<void> {}
}

function collect(connections: MemoryPeerConnection[], options: ListenOptions): Acceptor {
  return (peer) => {
    const connection = new MemoryPeerConnection();
    const script = connection.attach(peer);
    connections.push(connection);
    if (options.paused) peer.pause();
    if (options.greeting !== undefined) peer.send(options.greeting);
    return script;
  };
}

class MemoryPeerConnection implements PeerConnection {
  receivedBytes = 0;
  ended = false;
  error: string | undefined;
  readonly from: PeerAddress | undefined;
  #peer: MemoryPeer | undefined;
  /** What was done before there was a connection to do it to. */
  readonly #early: ((peer: MemoryPeer) => void)[] = [];
  readonly #chunks: Uint8Array[] = [];

  constructor(from?: PeerAddress) {
    this.from = from;
  }

  /** The connection is there; what happens to this side comes back to it. */
  attach(peer: MemoryPeer): MemoryPeerHandler {
    this.#peer = peer;
    for (const action of this.#early) action(peer);
    return {
      data: (bytes) => {
        this.#chunks.push(bytes);
        this.receivedBytes += bytes.length;
      },
      end: () => {
        this.ended = true;
      },
      reset: (code) => {
        this.error = code;
      },
    };
  }

  get unsentBytes(): number {
    return this.#peer?.sendingBytes ?? 0;
  }

  received(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }

  end(): void {
    this.#do((peer) => peer.end());
  }

  send(bytes: Uint8Array): void {
    this.#do((peer) => peer.send(bytes));
  }

  reset(): void {
    this.#do((peer) => peer.reset());
  }

  pause(): void {
    this.#do((peer) => peer.pause());
  }

  resume(): void {
    this.#do((peer) => peer.resume());
  }

  #do(action: (peer: MemoryPeer) => void): void {
    if (this.#peer === undefined) this.#early.push(action);
    else action(this.#peer);
  }
}

function named(place: PeerAddress, index: number): { address: string; port: number; index: number } {
  return { address: hostAddressText(place.address), port: place.port, index };
}
