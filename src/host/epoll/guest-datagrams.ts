import type { AcceptGuest } from '../../env/host.ts';
import { Timer } from '../../turn/timers.ts';
import { Errno, errorCode } from '../errno.ts';
import { raiseBuffers } from '../socket-options.ts';
import type { EpollContext } from './context.ts';
import { DatagramPipe } from './datagram-pipe.ts';
import { NAME_BYTES } from './kernel-memory.ts';
import * as libc from './libc.ts';
import type { PollHandler } from './poller.ts';

/** Between two looks whether the guest is still there: a dead one leaves no other trace until it is sent something. */
const LOOK_MS = 1000;
/** Room for a batch of frames each way. */
const BUFFER_BYTES = 4 * 2 ** 20;
/** Datagrams of senders that cannot be answered, in one go. */
const MAX_STRANGERS = 64;
/** A sockaddr_un without a path: the sender has no address. */
const UNNAMED_BYTES = 2;
/** What connect(2) says when nobody is at an address any more, or somebody who speaks to another. */
const GONE: readonly number[] = [Errno.ECONNREFUSED, Errno.ENOENT, Errno.ENOTDIR, Errno.EPROTOTYPE, Errno.EPERM];

/**
 * A unix datagram socket at which one guest at a time is attached. It is learnt from the first datagram: whoever sent
 * it is the guest, and the socket is connected to it. From then on the kernel refuses the datagrams of all others
 * (EPERM), lifts the limit of the guest's own (net.unix.max_dgram_qlen), and tells when the guest takes more.
 *
 * The guest has left when nobody is at its address any more: a send says so, and a look each second. The next sender is
 * the next guest. One that restarts at the same address is the same guest.
 *
 * It refuses to answer senders without an address ('datagram-sender-unnamed') or that cannot be connected to
 * ('datagram-sender-unreachable').
 *
 * States: waiting ⇄ taken; → closed, as soon as the guest has left.
 */
export class GuestDatagrams implements PollHandler {
  /** Stays valid in the whole process; a new network thread adopts it, connected as it is, after a crash of the old. */
  readonly fd: number;
  readonly #context: EpollContext;
  readonly #accept: AcceptGuest;
  /** Those whose file is gone, and whose guest is not. */
  readonly #leaving: Set<GuestDatagrams>;
  readonly #timer: Timer;
  /** The guest's address; empty while there is none. */
  #peer: Uint8Array = new Uint8Array(0);
  #pipe: DatagramPipe | undefined;
  /** The last one was turned away: the next look takes another. */
  #rests = false;
  #slot: number;

  /** Throws when epoll refuses the descriptor, which is then no socket. */
  constructor(context: EpollContext, fd: number, accept: AcceptGuest, leaving: Set<GuestDatagrams>) {
    this.fd = fd;
    this.#context = context;
    this.#accept = accept;
    this.#leaving = leaving;
    this.#timer = new Timer(() => this.#look());
    context.descriptors.record(fd, 'listener');
    raiseBuffers(context.memory, fd, BUFFER_BYTES);
    this.#slot = context.poller.add(fd, this);
    if (this.#slot < 0) throw new Error(`descriptor ${fd} is not a socket (${errorCode(libc.errno())})`);
    context.poller.timers.arm(this.#timer, LOOK_MS);
    this.#adoptPeer();
  }

  ready(events: number): void {
    if (this.#slot < 0) return;
    if (this.#pipe === undefined) this.#meet();
    else this.#pipe.ready(events);
  }

  /**
   * Takes no new guest; the socket is closed when the one that is attached has left. Its file is its owner's to remove.
   */
  close(): void {
    if (this.#slot < 0) return;
    if (this.#pipe === undefined) {
      this.#release();
      return;
    }
    this.#context.descriptors.record(this.fd, 'guest');
    this.#leaving.add(this);
  }

  /** The network thread before had a guest here. */
  #adoptPeer(): void {
    const { memory, poller } = this.#context;
    memory.setU32(memory.scalar, NAME_BYTES);
    if (libc.getpeername(this.fd, memory.base + memory.name, memory.base + memory.scalar) < 0) return;
    this.#peer = this.#nameRead();
    poller.owe(this);
  }

  /** The first sender that can be answered becomes the guest. */
  #meet(): void {
    if (this.#rests) return;
    for (let strangers = 0; strangers < MAX_STRANGERS; strangers++) {
      const sender = this.#peer.length > 0 ? 'connected' : this.#connectToSender();
      if (sender === 'connected') this.#attach();
      if (sender !== 'dropped') return;
    }
    this.#context.poller.owe(this);
  }

  /** Looks at who sent the oldest datagram, which stays where it is unless nobody can answer it. */
  #connectToSender(): 'connected' | 'dropped' | 'none' {
    const { memory, counters } = this.#context;
    const { base, name, scalar, scratch } = memory;
    memory.setU32(scalar, NAME_BYTES);
    const flags = libc.MSG_PEEK | libc.MSG_DONTWAIT;
    if (libc.recvfrom(this.fd, base + scratch, 1, flags, base + name, base + scalar) < 0) {
      // Any other error is one of an earlier guest, and is taken by now.
      return libc.errno() === Errno.EAGAIN ? 'none' : 'dropped';
    }
    const peer = this.#nameRead();
    if (peer.length > UNNAMED_BYTES && libc.connect(this.fd, base + name, peer.length) === 0) {
      this.#peer = peer;
      return 'connected';
    }
    counters.add(peer.length > UNNAMED_BYTES ? 'datagram-sender-unreachable' : 'datagram-sender-unnamed');
    libc.recv(this.fd, base + scratch, 1, libc.MSG_DONTWAIT);
    return 'dropped';
  }

  #attach(): void {
    for (const other of this.#leaving) {
      // The same guest, which meanwhile speaks to the socket that was made in the place of that one.
      if (isSame(other.#peer, this.#peer)) other.#pipe?.fail('ECONNABORTED');
    }
    const pipe = new DatagramPipe(this.#context, this.fd, this.#peer, () => this.#left());
    this.#pipe = pipe;
    pipe.handler = this.#accept(pipe);
    if (pipe.handler !== undefined) return;
    this.#rests = true;
    pipe.close();
  }

  /** The guest has left or was let go: whoever speaks next is the next, be it the same. */
  #left(): void {
    const { memory, poller } = this.#context;
    this.#pipe = undefined;
    this.#peer = new Uint8Array(0);
    if (this.#leaving.delete(this)) {
      this.#release();
      return;
    }
    // connect(2) to AF_UNSPEC (0): the kernel drops what waits and takes datagrams from everybody again.
    memory.setPointer(memory.name, 0);
    libc.connect(this.fd, memory.base + memory.name, 8);
    poller.owe(this);
  }

  /** Connecting again to where the guest is changes nothing, unless somebody else or nobody is there. */
  #look(): void {
    const { memory, poller } = this.#context;
    poller.timers.arm(this.#timer, LOOK_MS);
    this.#rests = false;
    const pipe = this.#pipe;
    if (pipe === undefined) {
      this.#meet();
      return;
    }
    memory.arena.bytes.set(this.#peer, memory.name);
    const connected = libc.connect(this.fd, memory.base + memory.name, this.#peer.length);
    if (connected < 0 && GONE.includes(libc.errno())) pipe.fail('ECONNREFUSED');
    else pipe.ready(libc.EPOLLOUT);
  }

  #nameRead(): Uint8Array {
    const { memory } = this.#context;
    return memory.arena.bytes.slice(memory.name, memory.name + Math.min(memory.u32(memory.scalar), NAME_BYTES));
  }

  #release(): void {
    const { poller } = this.#context;
    poller.timers.cancel(this.#timer);
    poller.remove(this.#slot);
    this.#slot = -1;
    poller.deregister(this.fd);
    poller.closeDescriptor(this.fd);
  }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}
