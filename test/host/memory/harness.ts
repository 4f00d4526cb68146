import type { HostAddress } from '../../../src/env/host.ts';
import { LOOPBACK4 } from '../../../src/env/host.ts';
import { MemoryHost } from '../../../src/host/memory/memory-host.ts';
import type { Acceptor, MemoryPeer, MemoryPeerHandler } from '../../../src/host/memory/memory-stream.ts';
import { PlainArena } from '../../support/plain-arena.ts';
import type {
  Harness,
  ListenOptions,
  PeerAddress,
  PeerConnection,
  PeerDatagram,
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
  return {
    host,
    arena,
    peers: new MemoryPeers(host),
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
  };
  readonly echoAddress: HostAddress = LOOPBACK4;
  readonly #host: MemoryHost;
  #nextPort = 1000;

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
    host.answerEcho(this.echoAddress);
  }

  async listenTcp(options: ListenOptions = {}): Promise<PeerServer> {
    const [address, port] = [options.address ?? LOOPBACK4, this.#nextPort++];
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
    return this.#nextPort++;
  }

  async openUdp(options: { address?: HostAddress; echo?: boolean } = {}): Promise<PeerDatagram> {
    const received: { bytes: Uint8Array; from: PeerAddress }[] = [];
    const peer = this.#host.listenUdp(options.address ?? LOOPBACK4, this.#nextPort++, ({ bytes, from, reply }) => {
      received.push({ bytes, from });
      if (options.echo) reply(bytes);
    });
    const { address, port } = peer;
    return { address, port, received, send: (bytes, to) => peer.send(bytes, to.port), close: async () => peer.close() };
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
    const connection = new MemoryPeerConnection(peer);
    connections.push(connection);
    if (options.paused) peer.pause();
    if (options.greeting !== undefined) peer.send(options.greeting);
    return connection.script;
  };
}

class MemoryPeerConnection implements PeerConnection {
  receivedBytes = 0;
  ended = false;
  error: string | undefined;
  /** What happens to this side. */
  readonly script: MemoryPeerHandler = {
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
  readonly #peer: MemoryPeer;
  readonly #chunks: Uint8Array[] = [];

  constructor(peer: MemoryPeer) {
    this.#peer = peer;
  }

  get unsentBytes(): number {
    return this.#peer.sendingBytes;
  }

  received(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }

  end(): void {
    this.#peer.end();
  }

  send(bytes: Uint8Array): void {
    this.#peer.send(bytes);
  }

  reset(): void {
    this.#peer.reset();
  }

  pause(): void {
    this.#peer.pause();
  }

  resume(): void {
    this.#peer.resume();
  }
}
