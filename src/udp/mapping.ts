import {
  type DatagramBatch,
  type DatagramFailure,
  type HostAddress,
  type HostDatagram,
  type HostDatagramHandler,
  LOOPBACK4,
} from '../env/host.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import type { OutletWaiter } from '../link/outlet.ts';
import type { Port } from '../link/port.ts';
import type { FairWork } from '../turn/fair-queue.ts';
import type { Rank, Shared } from '../turn/shares.ts';
import { Timer } from '../turn/timers.ts';
import { DNS_PORT } from '../wire/dns-message.ts';
import type { GatherOwner } from './gatherer.ts';
import { LoopbackChoice } from './loopback-choice.ts';

/**
 * Remote addresses that may answer; beyond, the one not spoken to for longest loses that right. A server of many peers
 * or a DHT asks hundreds from one port; 1,024 of them are 40 KB.
 */
const MAX_REMOTES = 1024;
/** Of these so many, the last spoken to, are shown. */
const SHOWN_REMOTES = 64;
/** How long it lives without a datagram, answered or not: RFC 4787 §4.3 REQ-5 wants two minutes. */
const IDLE_MS = 120_000;
/** A new port asked DNS one question and has its answer: resolvers take another port for the next. */
const DNS_ANSWERED_MS = 5_000;

/** The place of a configured service for the guest. */
export interface Translation {
  readonly address: number;
  readonly port: number;
}

/** What a mapping asks of its owner. */
export interface MappingOwner {
  arm(timer: Timer, delayMs: number): void;
  /** It was used just now and is wanted as much as `rank` says. */
  used(mapping: Mapping, rank: Rank): void;
  /** Data waits in the socket: `mapping.work` shall run in the egress phase. */
  wantsToReceive(mapping: Mapping): void;
  /** Receives and delivers one share. */
  receiveFor(mapping: Mapping): void;
  failed(mapping: Mapping, failure: DatagramFailure): void;
  expired(mapping: Mapping): void;
}

/**
 * One guest address and port as the outside sees it: one host socket, whoever the guest speaks to (endpoint-independent
 * mapping, RFC 4787 §4.1), that lets in datagrams from any port of the addresses the guest has sent to
 * (address-dependent filtering, §5).
 *
 * States: unanswered → answered → gone, 120 s after the last datagram either way, or 5 s after the answer to the one
 * question that it ever asked, at port 53. What comes for a guest that is gone keeps nothing alive: if the guest is not
 * back by then, its mappings are gone too.
 */
export class Mapping implements GatherOwner, HostDatagramHandler, OutletWaiter, Shared<Port, Mapping>, FairWork {
  queued = false;
  readonly guestAddress: number;
  readonly guestPort: number;
  neighbor: Neighbor;
  batch: DatagramBatch | undefined;
  owner: Port;
  /** Its guest's, with `owner` to know that guest again: another may have got the address. */
  mac: number;
  rank: Rank = 0;
  older: Mapping | undefined;
  newer: Mapping | undefined;
  answered = false;
  bytesFromGuest = 0;
  bytesToGuest = 0;
  /** `Packet.probesPath` of what the guest sent last. */
  probesPath = false;
  readonly timer: Timer;
  readonly #udp: MappingOwner;
  #socket: HostDatagram | undefined;
  #loopback: LoopbackChoice | undefined;
  /** Host address → the address that the guest knows it by; the oldest first. */
  readonly #remotes = new Map<HostAddress, number>();
  /** Host address and port of configured services → where the guest sent to; the oldest first. */
  #translations: Map<number, Translation> | undefined;
  #lastRemote: HostAddress = -1;
  #lastSeenAs = -1;
  /** What it sent so far is one datagram, to port 53. */
  #oneQuestion = false;
  #sentBefore = false;

  constructor(udp: MappingOwner, neighbor: Neighbor, guestPort: number) {
    this.#udp = udp;
    this.neighbor = neighbor;
    this.owner = neighbor.port;
    this.mac = neighbor.mac;
    this.guestAddress = neighbor.address;
    this.guestPort = guestPort;
    this.timer = new Timer(() => udp.expired(this));
  }

  /** The socket, once `open` gave it; using a mapping without one is a bug. */
  get socket(): HostDatagram {
    if (this.#socket === undefined) throw new Error('a UDP mapping was used before its socket was opened');
    return this.#socket;
  }

  get lane(): Port {
    return this.neighbor.port;
  }

  open(socket: HostDatagram): void {
    this.#socket = socket;
  }

  /** False once it was taken out of the table. */
  get live(): boolean {
    return this.#socket !== undefined;
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  /** Which of the host's loopback addresses a port is on; made for the first datagram to the host address. */
  get loopback(): LoopbackChoice {
    this.#loopback ??= new LoopbackChoice();
    return this.#loopback;
  }

  /** The guest sends `length` bytes to `remote`, which it calls `seenAs`: that address may answer now. */
  sent(remote: HostAddress, seenAs: number, port: number, length: number): void {
    this.#used(port, length);
    if (remote === this.#lastRemote && seenAs === this.#lastSeenAs) return;
    this.allow(remote, seenAs);
  }

  /**
   * The same, to a configured service that the guest reaches at `seenAs` and `seenPort`: only that port may answer for
   * it.
   */
  sentTranslated(remote: HostAddress, port: number, seenAs: number, seenPort: number, length: number): void {
    this.#used(seenPort, length);
    const key = remote * 65_536 + port;
    this.#translations ??= new Map();
    const known = this.#translations.get(key);
    if (known?.address === seenAs && known.port === seenPort) return;
    this.#translations.delete(key);
    if (this.#translations.size === MAX_REMOTES) {
      const [oldest] = this.#translations.keys();
      if (oldest !== undefined) this.#translations.delete(oldest);
    }
    this.#translations.set(key, { address: seenAs, port: seenPort });
  }

  /**
   * Where the guest believes the service at `remote` and `port` to be; undefined when that is no service it spoke to.
   */
  translation(remote: HostAddress, port: number): Translation | undefined {
    return this.#translations?.get(remote * 65_536 + port);
  }

  #used(port: number, length: number): void {
    this.bytesFromGuest += length;
    this.#oneQuestion = port === DNS_PORT && !this.#sentBefore;
    this.#sentBefore = true;
    this.#udp.used(this, this.answered ? 2 : 0);
    this.#udp.arm(this.timer, IDLE_MS);
  }

  allow(remote: HostAddress, seenAs: number): void {
    this.#remotes.delete(remote);
    if (this.#remotes.size === MAX_REMOTES) {
      for (const oldest of this.#remotes.keys()) {
        this.#remotes.delete(oldest);
        break;
      }
    }
    this.#remotes.set(remote, seenAs);
    this.#lastRemote = remote;
    this.#lastSeenAs = seenAs;
  }

  /** The address that the guest knows `remote` by; undefined when it may not answer. */
  seenAs(remote: HostAddress): number | undefined {
    return remote === this.#lastRemote ? this.#lastSeenAs : this.#remotes.get(remote);
  }

  /** `length` bytes from `remote` reached the guest. */
  received(remote: HostAddress, port: number, length: number): void {
    this.bytesToGuest += length;
    this.answered = true;
    if (remote === LOOPBACK4) this.#loopback?.answered4(port);
    this.#udp.used(this, this.#oneQuestion || this.rank === 2 ? this.rank : 1);
    this.#udp.arm(this.timer, this.#oneQuestion ? DNS_ANSWERED_MS : IDLE_MS);
  }

  /** The addresses that may answer, as the guest knows them; of many those last spoken to. */
  get remotes(): number[] {
    const remotes = [...this.#remotes.values()].slice(-SHOWN_REMOTES);
    const services = [...(this.#translations?.values() ?? [])].slice(-SHOWN_REMOTES);
    return [...new Set([...remotes, ...services.map(({ address }) => address)])];
  }

  readable(): void {
    if (this.live) this.#udp.wantsToReceive(this);
  }

  failed(failure: DatagramFailure): void {
    if (this.live) this.#udp.failed(this, failure);
  }

  outletWritable(): void {
    if (this.live) this.#udp.wantsToReceive(this);
  }

  work(): void {
    if (this.live) this.#udp.receiveFor(this);
  }
}
