import type { HostAddress } from '../../env/host.ts';
import type { DatagramClients } from '../datagram-clients.ts';
import { readMappedAddress } from '../mapped-address.ts';
import { PACKET_INFO, PACKET_INFO6 } from '../socket-options.ts';
import type { KernelMemory } from './kernel-memory.ts';
import * as libc from './libc.ts';
import { controlSpace, MAX_MESSAGES, MmsgTable } from './mmsg-table.ts';

/** struct in_pktinfo: the interface, the address to answer from, the address asked. */
export const IN_PKTINFO_BYTES = 12;
/** struct in6_pktinfo: the address asked, the interface. */
export const IN6_PKTINFO_BYTES = 20;

/**
 * Where the words of a client's key stand: the socket, its port, its address and zone, and the address of ours that it
 * asked.
 */
const SOCKET_WORD = 0;
export const PORT_WORD = 1;
export const CLIENT_WORD = 2;
export const ZONE_WORD = 6;
export const LOCAL_WORD = 7;
/** Of an address: IPv4 uses the first alone. */
export const ADDRESS_WORDS = 4;

/**
 * The messages with which one thread's UDP servers receive, each with the sender's name and the address that it asked
 * (IP_PKTINFO). Names and addresses go to a client's key, and back by `ServerOutbox`, as the kernel has them.
 */
export class ServerMessages {
  readonly #memory: KernelMemory;
  readonly #table: MmsgTable;

  constructor(memory: KernelMemory) {
    this.#memory = memory;
    const controlBytes = controlSpace(IN6_PKTINFO_BYTES);
    this.#table = new MmsgTable(memory, { messages: MAX_MESSAGES, pieces: 1, controlBytes });
  }

  /**
   * Receives up to `count` datagrams, number i into `slotBytes` at `at + i * slotBytes`: how many, or −1 with errno
   * set.
   */
  receive(fd: number, at: number, slotBytes: number, count: number): number {
    const table = this.#table;
    for (let i = 0; i < count; i++) {
      table.setRoom(i);
      table.setPiece(i, 0, at + i * slotBytes, slotBytes);
    }
    return libc.recvmmsg(fd, table.address(0), count, libc.MSG_DONTWAIT, 0);
  }

  /** Bytes of received message `index`; −1 when it was longer than its slot. */
  length(index: number): number {
    const cut = (this.#table.receivedFlags(index) & libc.MSG_TRUNC) !== 0;
    return cut ? -1 : this.#table.receivedBytes(index);
  }

  /** Who sent message `index`: IPv4 (also mapped), LOOPBACK6, or −1. */
  address(index: number): HostAddress {
    const memory = this.#memory;
    const name = this.#table.name(index);
    if (this.#family(name) === libc.AF_INET) return memory.readAddress(name);
    return readMappedAddress(memory.arena.bytes, name + 8);
  }

  port(index: number): number {
    return this.#memory.readPort(this.#table.name(index));
  }

  /** The key of who sent message `index` to the socket of that number. */
  writeKey(index: number, socket: number, key: Int32Array): void {
    const memory = this.#memory;
    const name = this.#table.name(index);
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
  socketOf(clients: DatagramClients, at: number): number {
    return clients.words[at + SOCKET_WORD] as number;
  }

  #family(name: number): number {
    return this.#memory.u32(name) & 0xffff;
  }

  /** Our address that message `index` asked; nothing when the kernel does not say. */
  #writeLocal(index: number, key: Int32Array): void {
    const memory = this.#memory;
    const info = this.#table.receivedControl(index, PACKET_INFO, IN_PKTINFO_BYTES);
    if (info >= 0) key[LOCAL_WORD] = memory.i32(info + 4);
    const info6 = this.#table.receivedControl(index, PACKET_INFO6, IN6_PKTINFO_BYTES);
    if (info6 < 0) return;
    for (let i = 0; i < ADDRESS_WORDS; i++) key[LOCAL_WORD + i] = memory.i32(info6 + 4 * i);
  }
}

/** As the kernel has an address of IPv4, in the words of this machine (little-endian, as all that the FFI runs on). */
function swapBytes(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}
