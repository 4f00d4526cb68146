import type { HostAddress } from '../../env/host.ts';
import type { ClientTable } from '../client-table.ts';
import { readMappedAddress } from '../mapped-address.ts';
import { IOVEC_BYTES, type KernelMemory, MMSGHDR_BYTES, SOCKADDR_IN6_BYTES } from './kernel-memory.ts';
import * as libc from './libc.ts';

/** Datagrams in one recvmmsg; the seam's bound. */
export const MAX_SERVED = 64;

const NAME_STRIDE = 32;
/** One cmsghdr of 16 bytes with struct in_pktinfo (12) or in6_pktinfo (20). */
const CONTROL_STRIDE = 64;
export const CMSG_HEADER_BYTES = 16;
export const IN_PKTINFO_BYTES = 12;
export const IN6_PKTINFO_BYTES = 20;

/** Where the words of a client's key stand: the socket, its port, its address and zone, and the address of ours that it asked. */
const SOCKET_WORD = 0;
export const PORT_WORD = 1;
export const CLIENT_WORD = 2;
export const ZONE_WORD = 6;
export const LOCAL_WORD = 7;
/** Of an address: IPv4 uses the first alone. */
export const ADDRESS_WORDS = 4;

/**
 * The mmsghdr array with which one thread's UDP servers receive, each with room for the sender's name and for the address
 * that it asked (IP_PKTINFO). Names and addresses go to a client's key, and back by `ServerOutbox`, as the kernel has them.
 */
export class ServerMessages {
  readonly memory: KernelMemory;
  readonly #messages: number;
  readonly #names: number;
  readonly #controls: number;
  readonly #iovecs: number;

  constructor(memory: KernelMemory) {
    this.memory = memory;
    this.#messages = memory.allocate(MAX_SERVED * MMSGHDR_BYTES);
    this.#names = memory.allocate(MAX_SERVED * NAME_STRIDE);
    this.#controls = memory.allocate(MAX_SERVED * CONTROL_STRIDE);
    this.#iovecs = memory.allocate(MAX_SERVED * IOVEC_BYTES);
    for (let i = 0; i < MAX_SERVED; i++) {
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
    key[SOCKET_WORD] = socket;
    key[PORT_WORD] = memory.readPort(name);
    if (this.#family(name) === libc.AF_INET) key[CLIENT_WORD] = memory.i32(name + 4);
    else {
      for (let i = 0; i < ADDRESS_WORDS; i++) key[CLIENT_WORD + i] = memory.i32(name + 8 + 4 * i);
      key[ZONE_WORD] = memory.i32(name + 24);
    }
    this.#writeLocal(index, key);
  }

  /** The key of an IPv4 address and port that nothing came from; the host chooses which address of ours goes there. */
  writeRemote(socket: number, address: number, port: number, key: Int32Array): void {
    key.fill(0);
    key[SOCKET_WORD] = socket;
    key[PORT_WORD] = port;
    key[CLIENT_WORD] = swapBytes(address);
  }

  /** The number of the socket in the key at `at`. */
  socketOf(clients: ClientTable, at: number): number {
    return clients.words[at + SOCKET_WORD] as number;
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
    if (level === libc.SOL_IP && type === libc.IP_PKTINFO) key[LOCAL_WORD] = memory.i32(data + 4);
    if (level !== libc.SOL_IPV6 || type !== libc.IPV6_PKTINFO || bytes < CMSG_HEADER_BYTES + IN6_PKTINFO_BYTES) return;
    for (let i = 0; i < ADDRESS_WORDS; i++) key[LOCAL_WORD + i] = memory.i32(data + 4 * i);
  }
}

/** As the kernel has an address of IPv4, in the words of this machine (little-endian, as all that the FFI runs on). */
function swapBytes(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}
