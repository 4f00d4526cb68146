import type { HostAddress } from '../../env/host.ts';
import type { ClientTable } from '../client-table.ts';
import { readMappedAddress } from '../mapped-address.ts';
import {
  IOVEC_BYTES,
  type KernelMemory,
  MMSGHDR_BYTES,
  SOCKADDR_IN_BYTES,
  SOCKADDR_IN6_BYTES,
} from './kernel-memory.ts';
import * as libc from './libc.ts';

/** Datagrams in one recvmmsg; the seam's bound. */
export const MAX_SERVED = 64;

const NAME_STRIDE = 32;
/** One cmsghdr of 16 bytes with struct in_pktinfo (12) or in6_pktinfo (20). */
const CONTROL_STRIDE = 64;
const CMSG_HEADER_BYTES = 16;
const IN_PKTINFO_BYTES = 12;
const IN6_PKTINFO_BYTES = 20;

/** Where the words of a client's key stand: the socket, its port, its address and zone, and the address of ours that it asked. */
const SOCKET = 0;
const PORT = 1;
const CLIENT = 2;
const ZONE = 6;
const LOCAL = 7;
/** Of an address: IPv4 uses the first alone. */
const ADDRESS_WORDS = 4;

/**
 * The mmsghdr array with which one thread's UDP servers receive, each with room for the sender's name and for the address
 * that it asked (IP_PKTINFO), and the message with which they answer. Names and addresses go to a client's key and back as
 * the kernel has them.
 */
export class ServerMessages {
  readonly memory: KernelMemory;
  readonly #messages: number;
  readonly #names: number;
  readonly #controls: number;
  readonly #iovecs: number;

  constructor(memory: KernelMemory) {
    this.memory = memory;
    this.#messages = memory.allocate((MAX_SERVED + 1) * MMSGHDR_BYTES);
    this.#names = memory.allocate((MAX_SERVED + 1) * NAME_STRIDE);
    this.#controls = memory.allocate((MAX_SERVED + 1) * CONTROL_STRIDE);
    this.#iovecs = memory.allocate((MAX_SERVED + 1) * IOVEC_BYTES);
    for (let i = 0; i <= MAX_SERVED; i++) {
      const message = this.#message(i);
      memory.setPointer(message, memory.base + this.#name(i));
      memory.setPointer(message + 16, memory.base + this.#iovecs + i * IOVEC_BYTES);
      memory.setPointer(message + 24, 1);
      memory.setPointer(message + 32, memory.base + this.#control(i));
    }
  }

  /** Receives up to `count` datagrams, number i into `slotBytes` at `at + i * slotBytes`: how many, or −1 with errno set. */
  receive(fd: number, at: number, slotBytes: number, count: number): number {
    const { memory } = this;
    for (let i = 0; i < count; i++) {
      const message = this.#message(i);
      memory.setU32(message + 8, SOCKADDR_IN6_BYTES);
      memory.setU32(message + 40, CONTROL_STRIDE);
      memory.setIovec(this.#iovecs, i, at + i * slotBytes, slotBytes);
    }
    return libc.recvmmsg(fd, memory.base + this.#messages, count, libc.MSG_DONTWAIT, 0);
  }

  /** Bytes of received message `index`; −1 when it was longer than its slot. */
  length(index: number): number {
    const message = this.#message(index);
    const cut = (this.memory.u32(message + 48) & libc.MSG_TRUNC) !== 0;
    return cut ? -1 : this.memory.u32(message + 56);
  }

  /** Who sent message `index`: IPv4 (also mapped), LOOPBACK6, or −1. */
  address(index: number): HostAddress {
    const { memory } = this;
    const name = this.#name(index);
    if (this.#family(name) === libc.AF_INET) return memory.readAddress(name);
    return readMappedAddress(memory.arena.bytes, name + 8);
  }

  port(index: number): number {
    return this.memory.readPort(this.#name(index));
  }

  /** The key of who sent message `index` to the socket of that number. */
  writeKey(index: number, socket: number, key: Int32Array): void {
    const { memory } = this;
    const name = this.#name(index);
    key.fill(0);
    key[SOCKET] = socket;
    key[PORT] = memory.readPort(name);
    if (this.#family(name) === libc.AF_INET) key[CLIENT] = memory.i32(name + 4);
    else {
      for (let i = 0; i < ADDRESS_WORDS; i++) key[CLIENT + i] = memory.i32(name + 8 + 4 * i);
      key[ZONE] = memory.i32(name + 24);
    }
    this.#writeLocal(index, key);
  }

  /** The number of the socket in the key at `at`. */
  socketOf(clients: ClientTable, at: number): number {
    return clients.words[at + SOCKET] as number;
  }

  /**
   * Sends [payload, payload + length) to the client whose key stands at `at`, from the address that it asked. Returns 0 or
   * the errno.
   */
  answer(fd: number, inet6: boolean, clients: ClientTable, at: number, payload: number, length: number): number {
    const { memory } = this;
    const message = this.#message(MAX_SERVED);
    memory.setU32(message + 8, this.#writeName(inet6, clients.words, at));
    memory.setIovec(this.#iovecs, MAX_SERVED, payload, length);
    const control = this.#writeControl(inet6, clients.words, at);
    memory.setU32(message + 40, control);
    if (this.#send(fd, message)) return 0;
    const number = libc.errno();
    if (control === 0 || number === libc.EAGAIN || number === libc.ENOBUFS || number === libc.EMSGSIZE) return number;
    // The address that was asked may be gone, or none to send from (multicast): the host chooses.
    memory.setU32(message + 40, 0);
    return this.#send(fd, message) ? 0 : libc.errno();
  }

  #send(fd: number, message: number): boolean {
    return libc.sendmsg(fd, this.memory.base + message, libc.MSG_NOSIGNAL | libc.MSG_DONTWAIT) >= 0;
  }

  #message(index: number): number {
    return this.#messages + index * MMSGHDR_BYTES;
  }

  #name(index: number): number {
    return this.#names + index * NAME_STRIDE;
  }

  #control(index: number): number {
    return this.#controls + index * CONTROL_STRIDE;
  }

  #family(name: number): number {
    return this.memory.u32(name) & 0xffff;
  }

  /** Our address that message `index` asked; nothing when the kernel does not say. */
  #writeLocal(index: number, key: Int32Array): void {
    const { memory } = this;
    const control = this.#control(index);
    const bytes = memory.u32(this.#message(index) + 40);
    if (bytes < CMSG_HEADER_BYTES + IN_PKTINFO_BYTES) return;
    const data = control + CMSG_HEADER_BYTES;
    const [level, type] = [memory.i32(control + 8), memory.i32(control + 12)];
    if (level === libc.SOL_IP && type === libc.IP_PKTINFO) key[LOCAL] = memory.i32(data + 4);
    if (level !== libc.SOL_IPV6 || type !== libc.IPV6_PKTINFO || bytes < CMSG_HEADER_BYTES + IN6_PKTINFO_BYTES) return;
    for (let i = 0; i < ADDRESS_WORDS; i++) key[LOCAL + i] = memory.i32(data + 4 * i);
  }

  #writeName(inet6: boolean, words: Int32Array, at: number): number {
    const { memory } = this;
    const name = this.#name(MAX_SERVED);
    memory.setU32(name, inet6 ? libc.AF_INET6 : libc.AF_INET);
    memory.arena.view.setUint16(name + 2, words[at + PORT] as number);
    if (!inet6) {
      memory.setU32(name + 4, words[at + CLIENT] as number);
      return SOCKADDR_IN_BYTES;
    }
    memory.setU32(name + 4, 0);
    for (let i = 0; i < ADDRESS_WORDS; i++) memory.setU32(name + 8 + 4 * i, words[at + CLIENT + i] as number);
    memory.setU32(name + 24, words[at + ZONE] as number);
    return SOCKADDR_IN6_BYTES;
  }

  /** The control data that names the address to send from; returns its length, 0 when the host shall choose. */
  #writeControl(inet6: boolean, words: Int32Array, at: number): number {
    const { memory } = this;
    const control = this.#control(MAX_SERVED);
    const data = control + CMSG_HEADER_BYTES;
    let known = 0;
    for (let i = 0; i < ADDRESS_WORDS; i++) known |= words[at + LOCAL + i] as number;
    if (known === 0) return 0;
    const dataBytes = inet6 ? IN6_PKTINFO_BYTES : IN_PKTINFO_BYTES;
    memory.setPointer(control, CMSG_HEADER_BYTES + dataBytes);
    memory.setU32(control + 8, inet6 ? libc.SOL_IPV6 : libc.SOL_IP);
    memory.setU32(control + 12, inet6 ? libc.IPV6_PKTINFO : libc.IP_PKTINFO);
    // Interface 0: where the route leads. Address in front (IPv6) or behind it (IPv4), where a third field is ignored.
    for (let i = 0; i < dataBytes; i += 4) memory.setU32(data + i, 0);
    if (!inet6) memory.setU32(data + 4, words[at + LOCAL] as number);
    else for (let i = 0; i < ADDRESS_WORDS; i++) memory.setU32(data + 4 * i, words[at + LOCAL + i] as number);
    return CMSG_HEADER_BYTES + ((dataBytes + 7) & ~7);
  }
}
