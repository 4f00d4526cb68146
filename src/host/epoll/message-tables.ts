import type { DatagramBatch } from '../../env/host.ts';
import { IOVEC_BYTES, type KernelMemory, MMSGHDR_BYTES, MSGHDR_BYTES, SOCKADDR_IN6_BYTES } from './kernel-memory.ts';
import * as libc from './libc.ts';
import { UdpSegments } from './udp-segments.ts';

/** Datagrams in one sendmmsg or recvmmsg; the seam's bound. */
export const MAX_MESSAGES = 64;

/** A sockaddr each, on a boundary of 32. */
const NAME_STRIDE = 32;
/** Two pieces each: a raw echo request has a header of its own. */
const IOVECS_EACH = 2;
export const ECHO_HEADER_BYTES = 8;
/** An ICMP header to send or an IPv4 header that came, without options; 20 bytes at most. */
const PREFIX_STRIDE = 32;
/** struct cmsghdr { size_t length; int level; int type }, then one byte, padded. */
const CMSG_HEADER_BYTES = 16;
const CONTROL_STRIDE = 32;

/** The mmsghdr array of one thread with the names and pieces that it points at. */
export class MessageTables {
  readonly memory: KernelMemory;
  /** Address for the kernel of message 0. */
  readonly address: number;
  readonly #messages: number;
  readonly #names: number;
  readonly #iovecs: number;
  readonly #prefixes: number;
  readonly #controls: number;
  /** A msghdr with name, one piece of scratch and control data, for the error queue. */
  readonly errorMessage: number;
  readonly segments: UdpSegments;

  constructor(memory: KernelMemory) {
    this.memory = memory;
    this.#messages = memory.allocate(MAX_MESSAGES * MMSGHDR_BYTES);
    this.#names = memory.allocate(MAX_MESSAGES * NAME_STRIDE);
    this.#iovecs = memory.allocate(MAX_MESSAGES * IOVECS_EACH * IOVEC_BYTES);
    this.#prefixes = memory.allocate(MAX_MESSAGES * PREFIX_STRIDE);
    this.#controls = memory.allocate(MAX_MESSAGES * CONTROL_STRIDE);
    this.errorMessage = memory.allocate(MSGHDR_BYTES);
    this.segments = new UdpSegments(memory);
    this.address = memory.base + this.#messages;
    for (let i = 0; i < MAX_MESSAGES; i++) {
      const message = this.message(i);
      memory.setPointer(message, memory.base + this.name(i));
      memory.setPointer(message + 16, memory.base + this.#iovecs + i * IOVECS_EACH * IOVEC_BYTES);
      memory.setPointer(message + 32, memory.base + this.#controls + i * CONTROL_STRIDE);
    }
  }

  message(index: number): number {
    return this.#messages + index * MMSGHDR_BYTES;
  }

  name(index: number): number {
    return this.#names + index * NAME_STRIDE;
  }

  /** Where message `index` keeps bytes that stand before its payload but not in the batch. */
  prefix(index: number): number {
    return this.#prefixes + index * PREFIX_STRIDE;
  }

  /** Message `index` goes to where item `item` of the batch goes, with its payload as the only piece. */
  setOutgoing(index: number, batch: DatagramBatch, item: number): void {
    const { memory } = this;
    const name = this.name(index);
    const message = this.message(index);
    const nameBytes = memory.writeAddress(name, batch.address[item] as number, batch.port[item] as number);
    memory.setU32(message + 8, nameBytes);
    memory.setU32(message + 24, 1);
    memory.setU32(message + 40, 0);
    memory.setIovec(this.#iovecs, index * IOVECS_EACH, batch.at[item] as number, batch.length[item] as number);
  }

  /** As setOutgoing, but the first bytes come from `prefix(index)` and the rest from the payload behind them. */
  setOutgoingBehindHeader(index: number, batch: DatagramBatch, item: number): void {
    this.setOutgoing(index, batch, item);
    const at = (batch.at[item] as number) + ECHO_HEADER_BYTES;
    const length = (batch.length[item] as number) - ECHO_HEADER_BYTES;
    this.memory.setIovec(this.#iovecs, index * IOVECS_EACH, this.prefix(index), ECHO_HEADER_BYTES);
    this.memory.setIovec(this.#iovecs, index * IOVECS_EACH + 1, at, length);
    this.memory.setU32(this.message(index) + 24, 2);
  }

  /** Message `index` is received into [at, at + length), its first `prefixBytes` into `prefix(index)`. */
  setIncoming(index: number, at: number, length: number, prefixBytes: number): void {
    const { memory } = this;
    const message = this.message(index);
    const first = index * IOVECS_EACH;
    memory.setU32(message + 8, SOCKADDR_IN6_BYTES);
    memory.setU32(message + 24, prefixBytes === 0 ? 1 : 2);
    memory.setU32(message + 40, CONTROL_STRIDE);
    if (prefixBytes > 0) memory.setIovec(this.#iovecs, first, this.prefix(index), prefixBytes);
    memory.setIovec(this.#iovecs, prefixBytes === 0 ? first : first + 1, at, length);
  }

  receivedBytes(index: number): number {
    return this.memory.u32(this.message(index) + 56);
  }

  /** The type of service that message `index` came with (IP_RECVTOS, which is all the control data there is); 0 without. */
  receivedTos(index: number): number {
    const { memory } = this;
    const control = this.#controls + index * CONTROL_STRIDE;
    if (memory.u32(this.message(index) + 40) <= CMSG_HEADER_BYTES || memory.i32(control + 12) !== libc.IP_TOS) return 0;
    return memory.arena.bytes[control + CMSG_HEADER_BYTES] ?? 0;
  }

  receivedFlags(index: number): number {
    return this.memory.u32(this.message(index) + 48);
  }

  /** Readies `errorMessage` for a receive and returns its address. */
  resetErrorMessage(payloadBytes: number): number {
    const { memory, errorMessage: message } = this;
    memory.setPointer(message, memory.base + memory.name);
    memory.setU32(message + 8, SOCKADDR_IN6_BYTES);
    memory.setPointer(message + 16, memory.base + memory.iovecs);
    memory.setU32(message + 24, 1);
    memory.setPointer(message + 32, memory.base + memory.control);
    memory.setPointer(message + 40, memory.controlBytes);
    memory.setIovec(memory.iovecs, 0, memory.scratch, payloadBytes);
    return memory.base + message;
  }
}
