import type { HostDatagramServer } from '../env/host-listener.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import type { UdpPeer } from '../udp/peers.ts';

/** What a client of a UDP forward tells the forward. */
export interface UdpClientOwner {
  /** The guest answered it. `sent`: the host took the answer. */
  answered(client: UdpClient, sent: boolean): void;
}

/** Who a client is, and by which socket and handle the host's engine knows it. */
export interface UdpClientFacts
  extends Pick<UdpClient, 'key' | 'neighbor' | 'guestPort' | 'address' | 'port' | 'sourceAddress' | 'sourcePort'> {
  readonly index: number;
  readonly handle: number;
}

/**
 * A client of the host's side as a guest's port knows it: one address and port, until two minutes without a datagram.
 */
export class UdpClient implements UdpPeer {
  key: number;
  readonly neighbor: Neighbor;
  readonly guestPort: number;
  /** Its own, to know it again. */
  readonly address: number;
  readonly port: number;
  /** As the guest sees it. */
  readonly sourceAddress: number;
  readonly sourcePort: number;
  readonly firstMs: number;
  usedMs: number;
  /** The guest has answered it. */
  answered = false;
  /** The guest began, and nothing came from there yet. */
  begun = false;
  /** It asked again after an answer, since it was last spared when the table was full. */
  converses = false;
  readonly #owner: UdpClientOwner;
  readonly #server: HostDatagramServer;
  readonly #index: number;
  #handle: number;

  constructor(owner: UdpClientOwner, server: HostDatagramServer, facts: UdpClientFacts, nowMs: number) {
    this.key = facts.key;
    this.neighbor = facts.neighbor;
    this.guestPort = facts.guestPort;
    this.address = facts.address;
    this.port = facts.port;
    this.sourceAddress = facts.sourceAddress;
    this.sourcePort = facts.sourcePort;
    this.firstMs = nowMs;
    this.usedMs = nowMs;
    this.#owner = owner;
    this.#server = server;
    this.#index = facts.index;
    this.#handle = facts.handle;
  }

  /** It has come with another handle, which says which of our addresses it asked. */
  came(key: number, handle: number): void {
    this.key = key;
    this.#handle = handle;
    this.begun = false;
  }

  datagram(at: number, length: number): void {
    this.#owner.answered(this, this.#server.send(this.#index, this.#handle, at, length));
  }
}
