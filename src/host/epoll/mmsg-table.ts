/**
 * The messages of recvmmsg(2), sendmmsg(2), recvmsg(2) and sendmsg(2): a row of struct mmsghdr, and for each the name,
 * the pieces and the control data that it points at. Streams have a bare msghdr (`kernel-memory.ts`).
 */
import type { SocketOption } from '../socket-options.ts';
import { IOVEC_BYTES, type KernelMemory, SOCKADDR_IN6_BYTES } from './kernel-memory.ts';

/** Messages in one call; the seam's bound. */
export const MAX_MESSAGES = 64;

/**
 * struct mmsghdr: a msghdr (name, length of the name, pieces, their number, control, its length, flags), then the
 * bytes.
 */
const NAME_BYTES_AT = 8;
const PIECES_AT = 16;
const PIECE_COUNT_AT = 24;
const CONTROL_AT = 32;
const CONTROL_BYTES_AT = 40;
const FLAGS_AT = 48;
const RECEIVED_AT = 56;
const MMSGHDR_BYTES = 64;
/** A sockaddr_in6, on a boundary of 32. */
const NAME_STRIDE = 32;
/** struct cmsghdr { size_t length; int level; int type }, then data. */
const LEVEL_AT = 8;
const TYPE_AT = 12;
const CMSG_HEADER_BYTES = 16;

/** CMSG_SPACE: what a control message with so many bytes of data takes. */
export function controlSpace(dataBytes: number): number {
  return CMSG_HEADER_BYTES + ((dataBytes + 7) & ~7);
}

export interface MmsgTableOptions {
  readonly messages: number;
  /** Pieces that each message may consist of. */
  readonly pieces: number;
  /** Room for the control data of each message. */
  readonly controlBytes: number;
}

/** Laid out once for a thread, reused by every call. Positions are offsets into the arena. */
export class MmsgTable {
  readonly memory: KernelMemory;
  readonly #messages: number;
  readonly #names: number;
  readonly #pieces: number;
  readonly #piecesEach: number;
  readonly #controls: number;
  readonly #controlEach: number;

  constructor(memory: KernelMemory, { messages, pieces, controlBytes }: MmsgTableOptions) {
    this.memory = memory;
    this.#messages = memory.allocate(messages * MMSGHDR_BYTES);
    this.#names = memory.allocate(messages * NAME_STRIDE);
    this.#pieces = memory.allocate(messages * pieces * IOVEC_BYTES);
    this.#piecesEach = pieces;
    this.#controls = memory.allocate(messages * controlBytes);
    this.#controlEach = controlBytes;
    for (let i = 0; i < messages; i++) {
      const message = this.#message(i);
      memory.setPointer(message, memory.base + this.name(i));
      memory.setPointer(message + PIECES_AT, memory.base + this.#pieces + i * pieces * IOVEC_BYTES);
      memory.setU32(message + PIECE_COUNT_AT, 1);
      memory.setPointer(message + CONTROL_AT, memory.base + this.control(i));
    }
  }

  /** Where the kernel sees message `index` and those behind it. */
  address(index: number): number {
    return this.memory.base + this.#message(index);
  }

  /** The sockaddr of message `index`. */
  name(index: number): number {
    return this.#names + index * NAME_STRIDE;
  }

  control(index: number): number {
    return this.#controls + index * this.#controlEach;
  }

  /** Piece `piece` of message `index` is [at, at + length). */
  setPiece(index: number, piece: number, at: number, length: number): void {
    this.memory.setIovec(this.#pieces, index * this.#piecesEach + piece, at, length);
  }

  setPieceCount(index: number, count: number): void {
    this.memory.setU32(this.#message(index) + PIECE_COUNT_AT, count);
  }

  /** Before a send: the length of the name in `name(index)`. */
  setNameBytes(index: number, bytes: number): void {
    this.memory.setU32(this.#message(index) + NAME_BYTES_AT, bytes);
  }

  /** Before a send: the length of the control data in `control(index)`. */
  setControlBytes(index: number, bytes: number): void {
    this.memory.setU32(this.#message(index) + CONTROL_BYTES_AT, bytes);
  }

  /** Before a receive: there is room for a name of either family and for all control data. */
  setRoom(index: number): void {
    this.setNameBytes(index, SOCKADDR_IN6_BYTES);
    this.setControlBytes(index, this.#controlEach);
  }

  /** After a recvmmsg: the bytes of message `index`. */
  receivedBytes(index: number): number {
    return this.memory.u32(this.#message(index) + RECEIVED_AT);
  }

  /** After a receive: MSG_TRUNC and the like. */
  receivedFlags(index: number): number {
    return this.memory.u32(this.#message(index) + FLAGS_AT);
  }

  /** Begins a control message in the room at `at`; returns where its data stand. */
  writeControl(at: number, kind: SocketOption, dataBytes: number): number {
    const { memory } = this;
    memory.setPointer(at, CMSG_HEADER_BYTES + dataBytes);
    memory.setU32(at + LEVEL_AT, kind.level);
    memory.setU32(at + TYPE_AT, kind.number);
    return at + CMSG_HEADER_BYTES;
  }

  /** After a receive: where the data stand of the control message of that kind, `dataBytes` at least; −1 without. */
  receivedControl(index: number, kind: SocketOption, dataBytes: number): number {
    const { memory } = this;
    const start = this.control(index);
    const end = start + Math.min(memory.u32(this.#message(index) + CONTROL_BYTES_AT), this.#controlEach);
    for (let at = start; at + CMSG_HEADER_BYTES <= end; ) {
      const length = memory.u32(at);
      if (length < CMSG_HEADER_BYTES) return -1;
      if (memory.u32(at + LEVEL_AT) === kind.level && memory.u32(at + TYPE_AT) === kind.number) {
        const data = at + CMSG_HEADER_BYTES;
        return length >= CMSG_HEADER_BYTES + dataBytes && data + dataBytes <= end ? data : -1;
      }
      at += (length + 7) & ~7;
    }
    return -1;
  }

  #message(index: number): number {
    return this.#messages + index * MMSGHDR_BYTES;
  }
}
