/**
 * Notices when the host's own network changes (Wi-Fi to cellular, VPN up or down) and ends what cannot live on.
 *
 * Linux leaves a TCP socket alone when its local address goes: it would repeat into nowhere for a quarter of an hour,
 * and carry on if the address came back meanwhile. So the poller has an rtnetlink socket. Whatever it says of addresses
 * or links only triggers a new list of the addresses; those that were there before and are not any more are missing. A
 * dial from one ends at once, since the guest's next SYN dials from an address that there is. Established flows are cut
 * when the address has been missing for GRACE_MS: a transient (Wi-Fi, ifdown and ifup, a renewed lease) is not an end.
 * Nothing is cut for an address that was never in the list (another VRF, a route of type local). An address on a link
 * that was taken down is missing; one whose cable is only pulled is not: its flows may live on.
 *
 * Messages that the socket had no room for (ENOBUFS) cost nothing but the knowledge which links are down.
 *
 * A route that vanishes while the address stays ends flows through `OpenStreams`: by their peer's silence.
 */
import { Timer } from '../../turn/timers.ts';
import type { EpollContext } from './context.ts';
import { SCRATCH_BYTES } from './kernel-memory.ts';
import * as libc from './libc.ts';
import { Errno } from '../errno.ts';
import { INPUT_EVENTS, type PollHandler } from './poller.ts';
import {
  ADDRESS_REQUEST_BYTES,
  ROUTE_GROUPS,
  type RouteListener,
  readRouteMessages,
  writeAddressRequest,
} from './route-messages.ts';

/** One wait reads at most this often; the rest comes with the next. */
const MAX_READS = 64;
/**
 * How long an address may be missing before its flows are lost: longer than a link takes to come back, and than a DHCP
 * client takes for its address; shorter than a person waits for an error.
 */
const GRACE_MS = 10_000;
/** The addresses changed while they were listed: they are listed again so much later. */
const RELIST_MS = 100;
const SOCKADDR_NL_BYTES = 12;

export class NetworkWatch implements PollHandler {
  /** Called after each change, dead flows having been told; at most once a wait. */
  onChange: (() => void) | undefined;
  readonly #context: EpollContext;
  readonly #relist: Timer;
  readonly #listener: RouteListener;
  /** Of its own, so that a list is never mixed with news. */
  readonly #questions: number;
  readonly #news: number;
  #addresses: ReadonlySet<number>;
  /**
   * Addresses that may come back, each with what ends the wait for it. Bounded by the addresses that came and went
   * within the grace.
   */
  readonly #missing = new Map<number, Timer>();
  /** Bounded by the links that there are. */
  readonly #linksDown = new Set<number>();
  #routesChanged = false;
  #addressesMayDiffer = false;

  /** A kernel that refuses the sockets is counted, and nothing is noticed then. */
  constructor(context: EpollContext) {
    this.#context = context;
    this.#relist = new Timer(() => this.#settle());
    this.#listener = {
      address: () => this.#doubt(),
      addressRemoved: () => this.#doubt(),
      link: (index, up) => this.#link(index, up),
      route: () => {
        this.#routesChanged = true;
      },
      listed: () => {},
    };
    this.#questions = open(context, 0);
    this.#news = open(context, ROUTE_GROUPS);
    const watched = this.#questions >= 0 && this.#news >= 0 && context.poller.add(this.#news, this, INPUT_EVENTS) >= 0;
    if (!watched) context.counters.add('host-network-unwatched');
    this.#addresses = (watched ? this.#list() : undefined) ?? new Set();
  }

  ready(): void {
    const { memory, counters, poller } = this.#context;
    for (let i = 0; ; i++) {
      if (i === MAX_READS) {
        poller.owe(this);
        break;
      }
      const length = libc.recv(this.#news, memory.base + memory.scratch, SCRATCH_BYTES, libc.MSG_DONTWAIT);
      if (length >= 0) {
        readRouteMessages(memory.arena.view, memory.scratch, length, this.#listener);
        continue;
      }
      if (libc.errno() !== Errno.ENOBUFS) break;
      counters.add('host-network-news-lost');
      this.#linksDown.clear();
      this.#routesChanged = true;
      this.#doubt();
    }
    this.#settle();
  }

  #doubt(): void {
    this.#addressesMayDiffer = true;
  }

  #link(index: number, up: boolean): void {
    if (up) this.#linksDown.delete(index);
    else this.#linksDown.add(index);
    this.#doubt();
  }

  /** Acts on what was heard. */
  #settle(): void {
    let changed = this.#routesChanged;
    this.#routesChanged = false;
    if (this.#addressesMayDiffer) {
      const addresses = this.#list();
      if (addresses === undefined) this.#context.poller.timers.arm(this.#relist, RELIST_MS);
      else {
        this.#addressesMayDiffer = false;
        changed = this.#take(addresses) || changed;
      }
    }
    if (!changed) return;
    this.#context.counters.add('host-network-changed');
    this.onChange?.();
  }

  /** Begins to wait for what has gone, and ends the wait for what is back; whether there is any difference. */
  #take(addresses: ReadonlySet<number>): boolean {
    const before = this.#addresses;
    this.#addresses = addresses;
    const gone = new Set([...before].filter((address) => !addresses.has(address)));
    const { poller, streams } = this.#context;
    for (const [address, wait] of this.#missing) {
      if (!addresses.has(address)) continue;
      poller.timers.cancel(wait);
      this.#missing.delete(address);
    }
    for (const address of gone) {
      const wait = new Timer(() => this.#lose(address));
      this.#missing.set(address, wait);
      poller.timers.arm(wait, GRACE_MS);
    }
    if (gone.size > 0) streams.loseAddresses(gone, 'dials');
    return gone.size > 0 || addresses.size !== before.size;
  }

  #lose(address: number): void {
    this.#missing.delete(address);
    this.#context.streams.loseAddresses(new Set([address]), 'all');
  }

  /** The addresses that flows may have, without loopback's; undefined when the list did not come whole. */
  #list(): Set<number> | undefined {
    const { memory } = this.#context;
    const { view } = memory.arena;
    const found = new Set<number>();
    let made: boolean | undefined;
    let interrupted = false;
    const listener: RouteListener = {
      ...this.#listener,
      address: (index, address) => {
        if (!isLoopback(address) && !this.#linksDown.has(index)) found.add(address);
      },
      listed: (is) => {
        made = is;
      },
    };
    writeAddressRequest(view, memory.scratch);
    libc.send(this.#questions, memory.base + memory.scratch, ADDRESS_REQUEST_BYTES, libc.MSG_DONTWAIT);
    while (made === undefined) {
      // The kernel prepares each part of a list before it hands out the one before: this never has to wait.
      const length = libc.recv(this.#questions, memory.base + memory.scratch, SCRATCH_BYTES, libc.MSG_DONTWAIT);
      if (length <= 0) return undefined;
      interrupted = readRouteMessages(view, memory.scratch, length, listener) || interrupted;
    }
    return made && !interrupted ? found : undefined;
  }
}

/** 127/8 */
function isLoopback(address: number): boolean {
  return address >>> 24 === 127;
}

/** An rtnetlink socket that hears `groups`; below 0 when the kernel refuses. */
function open({ memory, descriptors }: EpollContext, groups: number): number {
  const fd = libc.socket(libc.AF_NETLINK, libc.SOCK_RAW | libc.SOCK_FLAGS, libc.NETLINK_ROUTE);
  if (fd < 0) return fd;
  descriptors.record(fd, 'other');
  memory.setU32(memory.name, libc.AF_NETLINK);
  memory.setU32(memory.name + 4, 0);
  memory.setU32(memory.name + 8, groups);
  if (libc.bind(fd, memory.base + memory.name, SOCKADDR_NL_BYTES) >= 0) return fd;
  descriptors.forget(fd);
  libc.close(fd);
  return -1;
}
