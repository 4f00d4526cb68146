import type { DatagramBatch, HostErrorCode } from '../env/host.ts';
import type { HostDatagramServer, HostDatagramServerHandler } from '../env/host-listener.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import type { OutletWaiter } from '../link/outlet.ts';
import type { FairWork } from '../turn/fair-queue.ts';
import { Timer } from '../turn/timers.ts';
import { OutgoingDatagram } from '../udp/outgoing-datagram.ts';
import type { AllowanceHolder } from './allowance.ts';
import type { ForwardContext } from './forward-context.ts';
import { reportOf } from './forward-report.ts';
import type { ForwardReport, ForwardRequest } from './forward-request.ts';
import { ForwardTarget } from './forward-target.ts';
import { placesOf } from './places.ts';
import { SOURCE_PORT_TRIES } from './source-addresses.ts';
import { UdpClient, type UdpClientFacts, type UdpClientOwner } from './udp-client.ts';

/**
 * As a conversation of the guest's own (RFC 4787 §4.3: two minutes or more), counted from the last datagram either way.
 */
const IDLE_MS = 120_000;
/** The order of use is kept to the second, so a stream of datagrams does not reorder the clients each time. */
const REFRESH_MS = 1_000;
/** A client that asks on without an answer may be one whose network the guest takes for its own. */
const UNANSWERED_MS = 1_000;
/** At most so many clients in conversation are passed over in search of one to forget. */
const MAX_SPARED = 64;
/** Distance between the keys of two sockets; a handle is below it. */
const HANDLES = 2 ** 31;

/** One socket of the forward, while it has something to receive. */
interface Socket extends FairWork, OutletWaiter {}

/**
 * Datagrams of clients on the host's side to a guest's ports, and the guest's answers back to them. Each client is a
 * peer of its own to the guest; it is forgotten after two minutes of silence, or when the table is full and it is the
 * one not used for longest, where who asked again after an answer comes behind who came once: a flood from ever new
 * ports ends no conversation. What a guest says by ICMP about one client's datagram costs nobody anything.
 *
 * Nothing is kept here: while a guest is being found or its outlet is full, datagrams wait in the host's socket; what
 * comes for a guest that is not there is dropped and counted.
 */
export class UdpForward implements HostDatagramServerHandler, UdpClientOwner, AllowanceHolder {
  readonly #context: ForwardContext;
  readonly #request: ForwardRequest;
  readonly #target: ForwardTarget;
  readonly #handles: Int32Array;
  readonly #datagram = new OutgoingDatagram();
  readonly #places: ReturnType<typeof placesOf>;
  readonly #sockets = new Map<number, Socket>();
  /** By socket and handle, in the order of last use. */
  readonly #clients = new Map<number, UdpClient>();
  readonly #expiry: Timer = new Timer(() => this.#expire());
  readonly #looked: () => void;
  #server: HostDatagramServer | undefined;

  /** `looked` hears once or more often that something is known of the guest. Follow with `open`. */
  constructor(context: ForwardContext, request: ForwardRequest, looked: () => void) {
    this.#context = context;
    this.#request = request;
    this.#looked = looked;
    this.#handles = new Int32Array(context.udp.receiveSlots.count);
    this.#places = placesOf(request.sockets);
    const facts = { address: request.guestAddress, port: 0, count: 1 };
    this.#target = new ForwardTarget(context.guests, facts, () => this.#reachChanged());
  }

  /** Takes the sockets and looks for the guest. Returns what the host said when it cannot. */
  open(): HostErrorCode | undefined {
    const server = this.#context.listeners.serveDatagrams(this.#request.sockets, this);
    if (typeof server === 'string') return server;
    this.#server = server;
    this.#context.udpClients.join(this);
    this.#context.published.add(this, this.#request.guestPort + this.#places.first, this.#places.count);
    this.#target.look();
    return undefined;
  }

  /** Clients have no connections: they are forgotten either way. */
  close(): void {
    const { turn, udpClients, published } = this.#context;
    this.#target.stop();
    turn.timers.cancel(this.#expiry);
    for (const client of this.#clients.values()) this.#forget(client);
    this.#sockets.clear();
    udpClients.leave(this);
    published.remove(this, this.#request.guestPort + this.#places.first, this.#places.count);
    this.#server?.close();
    this.#server = undefined;
  }

  heard(neighbor: Neighbor): void {
    this.#target.heard(neighbor);
  }

  guestLeft(): void {
    this.#target.guestLeft();
  }

  /** Nothing that the host says later keeps it down. */
  get fault(): HostErrorCode | undefined {
    return undefined;
  }

  report(): ForwardReport {
    const { id } = this.#request;
    return reportOf(this.#context, this.#target, { id, why: this.#target.why, connections: this.#clients.size });
  }

  // ── places of clients ──

  get held(): number {
    return this.#clients.size;
  }

  giveUp(): boolean {
    const oldest = this.#spareOldest();
    if (oldest === undefined) return false;
    this.#context.counters.add('forward-udp-evicted');
    this.#forget(oldest);
    return true;
  }

  readable(index: number): void {
    if (this.#server !== undefined) this.#context.turn.egress.add(this.#socket(index));
  }

  answered(client: UdpClient, sent: boolean): void {
    if (!sent) {
      this.#context.counters.add('forward-udp-answer-dropped');
      if (client.begun) this.#forget(client);
    }
    if (!client.answered && client.sourceAddress === client.address)
      this.#context.routes.proved(client.neighbor, client.address);
    client.answered = true;
    this.#touch(client);
  }

  /**
   * Who takes what `guest` sends from a published port to somebody who has not asked: it leaves from the forward's own
   * socket, and what comes back is a client's. Undefined where it is not this forward's guest, or its socket does not
   * reach there.
   */
  peerFor(guest: Neighbor, guestPort: number, address: number, port: number): UdpClient | undefined {
    const server = this.#server;
    if (server === undefined || guest !== this.#target.guest) return undefined;
    const index = guestPort - this.#request.guestPort;
    const handle = server.reach(index, address, port);
    const key = index * HANDLES + handle;
    if (handle < 0 || this.#clients.has(key) || !this.#makeRoom()) return undefined;
    const source = { sourceAddress: address, sourcePort: port };
    const facts = { key, index, handle, neighbor: guest, guestPort, address, port, ...source };
    const client = new UdpClient(this, server, facts, this.#context.turn.nowMs);
    client.begun = true;
    if (this.#enter(client)) return client;
    this.#context.udpClients.give();
    return undefined;
  }

  #socket(index: number): Socket {
    let socket = this.#sockets.get(index);
    if (socket === undefined) {
      const again = (): void => this.readable(index);
      socket = {
        queued: false,
        lane: this,
        work: () => this.#receive(index),
        outletWritable: again,
      };
      this.#sockets.set(index, socket);
    }
    return socket;
  }

  /** One batch, in the egress phase; more wait for the next turn, so that others get theirs. */
  #receive(index: number): void {
    const { udp, turn } = this.#context;
    const server = this.#server;
    const { guest, state } = this.#target;
    if (server === undefined || state === 'asking') return;
    const socket = this.#socket(index);
    if (guest === undefined) {
      this.#drop(index);
      return;
    }
    const count = udp.roomFor(guest, socket);
    if (count === 0) return;
    const { batch, at, slotBytes } = udp.receiveSlots;
    const received = server.receive(index, batch, this.#handles, at, slotBytes, count);
    const datagram = this.#datagram;
    for (let i = 0; i < received; i++) {
      const client = this.#clientOf(server, guest, index, batch, i);
      if (client === undefined) continue;
      datagram.source = client.sourceAddress;
      datagram.sourcePort = client.sourcePort;
      datagram.destinationPort = client.guestPort;
      datagram.at = batch.at[i]!;
      datagram.length = batch.length[i]!;
      if (!udp.send(guest, datagram)) continue;
      client.converses = client.answered;
      if (!client.answered) this.#unanswered(client);
      this.#touch(client);
    }
    if (received === count) turn.egress.add(socket);
  }

  /** From its next datagram on it may be somebody else to the guest. */
  #unanswered(client: UdpClient): void {
    const { turn, routes } = this.#context;
    if (turn.nowMs - client.firstMs < UNANSWERED_MS || client.sourceAddress !== client.address) return;
    routes.doubt(client.neighbor, client.guestPort, client.address, () => {
      if (!client.answered) this.#forget(client);
    });
  }

  /** Nobody is there to have them. */
  #drop(index: number): void {
    const { udp, counters } = this.#context;
    const { batch, at, slotBytes, count } = udp.receiveSlots;
    const dropped = this.#server?.receive(index, batch, this.#handles, at, slotBytes, count) ?? 0;
    if (dropped > 0) counters.add('forward-udp-no-guest', dropped);
    if (dropped === count) this.readable(index);
  }

  /** Who sent the datagram at place `i` of what was received. */
  #clientOf(
    server: HostDatagramServer,
    neighbor: Neighbor,
    index: number,
    batch: DatagramBatch,
    i: number,
  ): UdpClient | undefined {
    const handle = this.#handles[i]!;
    const address = batch.address[i]!;
    const port = batch.port[i]!;
    const key = index * HANDLES + handle;
    const known = this.#clients.get(key);
    if (known !== undefined) {
      if (known.neighbor === neighbor && known.address === address && known.port === port) return known;
      this.#forget(known);
    }
    const { source, guestPort } = this.#request;
    const begun = this.#context.udp.peers.get(neighbor.address, guestPort + index, address, port);
    if (begun instanceof UdpClient && begun.begun && this.#clients.delete(begun.key)) {
      begun.came(key, handle);
      this.#clients.set(key, begun);
      return begun;
    }
    if (!this.#makeRoom()) return undefined;
    const { sources, routes } = this.#context;
    const own = sources.addressFor(source, address);
    const sourceAddress = routes.hides(neighbor, own) ? sources.host : own;
    return this.#admit(server, {
      key,
      index,
      handle,
      neighbor,
      guestPort: guestPort + index,
      address,
      port,
      sourceAddress,
    });
  }

  /** Gives the client four numbers of its own. */
  #admit(server: HostDatagramServer, facts: Omit<UdpClientFacts, 'sourcePort'>): UdpClient | undefined {
    const { sources, turn, counters, udpClients } = this.#context;
    for (let attempt = 0; attempt < SOURCE_PORT_TRIES; attempt++) {
      const sourcePort = sources.portFor(attempt, facts.sourceAddress, facts.port);
      const client = new UdpClient(this, server, { ...facts, sourcePort }, turn.nowMs);
      if (this.#enter(client)) return client;
    }
    udpClients.give();
    counters.add('forward-no-source-port');
    return undefined;
  }

  /** False when another client has these four numbers towards the guest. */
  #enter(client: UdpClient): boolean {
    const { udp, turn } = this.#context;
    const { neighbor, guestPort, sourceAddress, sourcePort } = client;
    if (!udp.peers.add(neighbor.address, guestPort, sourceAddress, sourcePort, client)) return false;
    this.#clients.set(client.key, client);
    if (!this.#expiry.armed) turn.timers.arm(this.#expiry, IDLE_MS);
    return true;
  }

  /** Takes a place; a client that was not used for long makes room. */
  #makeRoom(): boolean {
    const { udpClients, counters } = this.#context;
    if (udpClients.take(this)) return true;
    counters.add('forward-udp-client-limit');
    return false;
  }

  /**
   * The client to forget. A client in conversation is passed over and moved to the end of the order; it must ask again
   * to be passed over once more. At the end it may outlive its two minutes, until the clients before it are gone.
   */
  #spareOldest(): UdpClient | undefined {
    let left = MAX_SPARED;
    for (const client of this.#clients.values()) {
      if (!client.converses || left-- === 0) return client;
      client.converses = false;
      this.#clients.delete(client.key);
      this.#clients.set(client.key, client);
    }
    return undefined;
  }

  #touch(client: UdpClient): void {
    const { nowMs } = this.#context.turn;
    if (nowMs - client.usedMs < REFRESH_MS) return;
    client.usedMs = nowMs;
    if (!this.#clients.delete(client.key)) return;
    this.#clients.set(client.key, client);
  }

  #expire(): void {
    const { turn } = this.#context;
    for (const client of this.#clients.values()) {
      const leftMs = client.usedMs + IDLE_MS - turn.nowMs;
      if (leftMs > 0) {
        turn.timers.arm(this.#expiry, Math.max(leftMs, REFRESH_MS));
        return;
      }
      this.#forget(client);
    }
  }

  #forget(client: UdpClient): void {
    if (!this.#clients.delete(client.key)) return;
    const { udp, udpClients } = this.#context;
    udp.peers.remove(client.neighbor.address, client.guestPort, client.sourceAddress, client.sourcePort);
    udpClients.give();
  }

  #reachChanged(): void {
    for (const index of this.#sockets.keys()) this.readable(index);
    this.#context.changed(this.report());
    this.#looked();
  }
}
