import type { Arena } from '../../env/arena.ts';
import { type HostAddress, LOOPBACK6 } from '../../env/host.ts';
import { writeMappedAddress } from '../mapped-address.ts';
import * as libc from './libc.ts';
import { type OptionSetter, SO_LINGER, type SocketOption, TCP_INFO } from '../socket-options.ts';
import { SUN_PATH_BYTES } from '../../facts/unix-path.ts';

/** An arena whose bytes the kernel may be pointed at: `baseBuffer` never moves. */
export interface NativeArena extends Arena {
  readonly baseBuffer: ArrayBuffer;
}

/** struct iovec { void *base; size_t length } */
export const IOVEC_BYTES = 16;
/** struct msghdr, of which only the pieces are used here: what carries more is an MmsgTable. */
const MSGHDR_BYTES = 56;
const PIECES_AT = 16;
const PIECE_COUNT_AT = 24;
/** UIO_MAXIOV: what one call takes. */
export const MAX_IOVECS = 1024;
/** struct sockaddr_in; sockaddr_in6 has 28, sockaddr_un 110. */
export const SOCKADDR_IN_BYTES = 16;
export const SOCKADDR_IN6_BYTES = 28;
/** Room for any sockaddr. */
export const NAME_BYTES = 128;
export const SCRATCH_BYTES = 65536;

/** struct tcp_info up to tcpi_last_ack_recv. */
const TCP_INFO_BYTES = 60;
/** 2^32: what half a pointer holds. */
const HALF = 4294967296;

/**
 * The structs that cross to the kernel, laid out in one region of the arena and reused by every call of one thread.
 * Positions are offsets into the arena; `base` turns one into what the kernel takes.
 */
export class KernelMemory implements OptionSetter {
  readonly arena: NativeArena;
  /** Address of the arena's first byte. */
  readonly base: number;
  /** Eight scalars for socket options and lengths. */
  readonly scalar: number;
  readonly iovecs: number;
  /** One msghdr that always points at `iovecs` and carries neither name nor control data. */
  readonly #message: number;
  readonly name: number;
  readonly #tcpInfo: number;
  /** Bytes that nobody keeps: what is drained goes here. */
  readonly scratch: number;
  readonly #words: Int32Array;
  /** The base address in halves: an offset below `#carryAt` leaves the high half as it is. */
  readonly #baseLow: number;
  readonly #baseHigh: number;
  readonly #carryAt: number;

  constructor(arena: NativeArena) {
    this.arena = arena;
    this.base = libc.addressOf(arena.baseBuffer);
    this.#words = new Int32Array(arena.baseBuffer, 0, arena.baseBuffer.byteLength >>> 2);
    this.#baseLow = this.base | 0;
    this.#baseHigh = Math.floor(this.base / HALF);
    this.#carryAt = Math.min(HALF - (this.base % HALF), 0x7fffffff);
    this.scalar = this.allocate(64);
    this.iovecs = this.allocate(MAX_IOVECS * IOVEC_BYTES);
    this.#message = this.allocate(MSGHDR_BYTES);
    this.name = this.allocate(NAME_BYTES);
    this.#tcpInfo = this.allocate(TCP_INFO_BYTES);
    this.scratch = this.allocate(SCRATCH_BYTES);
    this.setPointer(this.#message + PIECES_AT, this.base + this.iovecs);
  }

  /** Zeroed bytes for good. Throws when the arena is full: the engine cannot start then. */
  allocate(length: number): number {
    const at = this.arena.allocate(length);
    if (at < 0) throw new Error('The frame memory is too small for the epoll engine.');
    this.arena.bytes.fill(0, at, at + length);
    return at;
  }

  u32(at: number): number {
    return (this.#words[at >>> 2] as number) >>> 0;
  }

  i32(at: number): number {
    return this.#words[at >>> 2] as number;
  }

  setU32(at: number, value: number): void {
    this.#words[at >>> 2] = value;
  }

  /** A 64-bit pointer or size at `at`, a multiple of 4. */
  setPointer(at: number, value: number): void {
    const word = at >>> 2;
    this.#words[word] = value;
    this.#words[word + 1] = value / HALF;
  }

  /** iovec number `index` of the table at `table`: `length` bytes of the arena at `at`. */
  setIovec(table: number, index: number, at: number, length: number): void {
    const word = (table >>> 2) + index * 4;
    this.#words[word] = (this.#baseLow + at) | 0;
    this.#words[word + 1] = at < this.#carryAt ? this.#baseHigh : this.#baseHigh + 1;
    this.#words[word + 2] = length;
  }

  /** `iovecs` 0…count−1: `slotBytes` each, `stride` apart, from `at` on. */
  setSlots(at: number, slotBytes: number, stride: number, count: number): void {
    const words = this.#words;
    const low = this.#baseLow;
    const high = this.#baseHigh;
    const carryAt = this.#carryAt;
    let word = this.iovecs >>> 2;
    for (let i = 0, slot = at; i < count; i++, slot += stride, word += 4) {
      words[word] = (low + slot) | 0;
      words[word + 1] = slot < carryAt ? high : high + 1;
      words[word + 2] = slotBytes;
    }
  }

  /** Points `message` at `count` of the iovecs and returns its address. */
  gather(count: number): number {
    this.#words[(this.#message + PIECE_COUNT_AT) >>> 2] = count;
    return this.base + this.#message;
  }

  /** sockaddr_in or sockaddr_in6 at `at`; returns its length. */
  writeAddress(at: number, address: HostAddress, port: number): number {
    const view = this.arena.view;
    if (address === LOOPBACK6) {
      this.arena.bytes.fill(0, at, at + SOCKADDR_IN6_BYTES);
      view.setUint16(at, libc.AF_INET6, true);
      view.setUint16(at + 2, port);
      view.setUint8(at + 23, 1);
      return SOCKADDR_IN6_BYTES;
    }
    view.setUint16(at, libc.AF_INET, true);
    view.setUint16(at + 2, port);
    view.setUint32(at + 4, address);
    return SOCKADDR_IN_BYTES;
  }

  /** sockaddr_in6 at `at` for a socket of both families: IPv4 (mapped) or LOOPBACK6; returns its length. */
  writeMappedName(at: number, address: HostAddress, port: number): number {
    const { view, bytes } = this.arena;
    bytes.fill(0, at, at + SOCKADDR_IN6_BYTES);
    view.setUint16(at, libc.AF_INET6, true);
    view.setUint16(at + 2, port);
    writeMappedAddress(bytes, at + 8, address);
    return SOCKADDR_IN6_BYTES;
  }

  /** sockaddr_un for `path`, at `name`; returns its length, −1 when the path is too long (107 bytes). */
  writeUnixAddress(path: string): number {
    const text = new TextEncoder().encode(path);
    if (text.length >= SUN_PATH_BYTES) return -1;
    this.arena.view.setUint16(this.name, libc.AF_UNIX, true);
    this.arena.bytes.set(text, this.name + 2);
    this.arena.bytes[this.name + 2 + text.length] = 0;
    return 2 + text.length + 1;
  }

  /** The address in the sockaddr at `at`: IPv4, LOOPBACK6, or −1 for what the seam has no number for. */
  readAddress(at: number): HostAddress {
    const view = this.arena.view;
    const family = view.getUint16(at, true);
    if (family === libc.AF_INET) return view.getUint32(at + 4);
    if (family !== libc.AF_INET6) return -1;
    const loopback =
      view.getUint32(at + 8) === 0 &&
      view.getUint32(at + 12) === 0 &&
      view.getUint32(at + 16) === 0 &&
      view.getUint32(at + 20) === 1;
    return loopback ? LOOPBACK6 : -1;
  }

  readPort(at: number): number {
    return this.arena.view.getUint16(at + 2);
  }

  setOption(fd: number, option: SocketOption, value: number): boolean {
    this.setU32(this.scalar, value);
    return libc.setsockopt(fd, option.level, option.number, this.base + this.scalar, 4) === 0;
  }

  /** getsockopt of an int; −1 when the kernel refuses. */
  option(fd: number, option: SocketOption): number {
    this.setU32(this.scalar + 8, 4);
    const done = libc.getsockopt(fd, option.level, option.number, this.base + this.scalar, this.base + this.scalar + 8);
    return done === 0 ? this.i32(this.scalar) : -1;
  }

  /** SO_LINGER {1, 0}: close() resets the peer; {0, 0}: close() ends gracefully. */
  setResetOnClose(fd: number, reset: boolean): void {
    this.setU32(this.scalar, reset ? 1 : 0);
    this.setU32(this.scalar + 4, 0);
    libc.setsockopt(fd, SO_LINGER.level, SO_LINGER.number, this.base + this.scalar, 8);
  }

  /** The address that the socket has on this computer: IPv4, LOOPBACK6, or −1. */
  localAddress(fd: number): HostAddress {
    this.setU32(this.scalar, NAME_BYTES);
    const done = libc.getsockname(fd, this.base + this.name, this.base + this.scalar);
    return done === 0 ? this.readAddress(this.name) : -1;
  }

  /** Where a TCP socket's struct tcp_info is until the next call; −1 when the kernel refuses. */
  tcpInfo(fd: number): number {
    this.setU32(this.scalar, TCP_INFO_BYTES);
    const { level, number } = TCP_INFO;
    const done = libc.getsockopt(fd, level, number, this.base + this.#tcpInfo, this.base + this.scalar);
    return done === 0 ? this.#tcpInfo : -1;
  }

  /** Bytes that the peer has not acknowledged yet, a FIN included. */
  unacknowledged(fd: number): number {
    return libc.ioctl(fd, libc.SIOCOUTQ, this.base + this.scalar) === 0 ? this.i32(this.scalar) : 0;
  }
}
