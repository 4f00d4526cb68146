import type { DatagramBatch } from '../../env/host.ts';
import { RECEIVED_TOS } from '../socket-options.ts';
import type { KernelMemory } from './kernel-memory.ts';
import { MAX_MESSAGES, MmsgTable } from './mmsg-table.ts';
import { UdpSegments } from './udp-segments.ts';

export const ECHO_HEADER_BYTES = 8;
/** An ICMP header to send or an IPv4 header that came, without options; 20 bytes at most. */
const PREFIX_STRIDE = 32;
/** The one byte of RECEIVED_TOS, with its header. */
const CONTROL_BYTES = 32;
/** What came with an error: an offender's address or a descriptor, and what else the kernel may add. */
const SINGLE_CONTROL_BYTES = 512;

/** The messages of one thread with which unconnected sockets send and receive. */
export class MessageTables {
  readonly memory: KernelMemory;
  readonly messages: MmsgTable;
  /** One message for what comes singly: entries of error queues, descriptors. */
  readonly single: MmsgTable;
  readonly segments: UdpSegments;
  readonly #prefixes: number;

  constructor(memory: KernelMemory) {
    this.memory = memory;
    // A raw echo request has a header of its own in front.
    this.messages = new MmsgTable(memory, { messages: MAX_MESSAGES, pieces: 2, controlBytes: CONTROL_BYTES });
    this.#prefixes = memory.allocate(MAX_MESSAGES * PREFIX_STRIDE);
    this.single = new MmsgTable(memory, { messages: 1, pieces: 1, controlBytes: SINGLE_CONTROL_BYTES });
    this.segments = new UdpSegments(memory);
  }

  /** Where message `index` keeps bytes that precede its payload but are not in the batch. */
  prefix(index: number): number {
    return this.#prefixes + index * PREFIX_STRIDE;
  }

  /** Message `index` goes to where item `item` of the batch goes, with its payload as the only piece. */
  setOutgoing(index: number, batch: DatagramBatch, item: number): void {
    const { memory, messages } = this;
    const name = messages.name(index);
    messages.setNameBytes(index, memory.writeAddress(name, batch.address[item] as number, batch.port[item] as number));
    messages.setPieceCount(index, 1);
    messages.setControlBytes(index, 0);
    messages.setPiece(index, 0, batch.at[item] as number, batch.length[item] as number);
  }

  /** As setOutgoing, but the first bytes come from `prefix(index)` and the rest from the payload behind them. */
  setOutgoingBehindHeader(index: number, batch: DatagramBatch, item: number): void {
    const { messages } = this;
    this.setOutgoing(index, batch, item);
    const at = (batch.at[item] as number) + ECHO_HEADER_BYTES;
    const length = (batch.length[item] as number) - ECHO_HEADER_BYTES;
    messages.setPiece(index, 0, this.prefix(index), ECHO_HEADER_BYTES);
    messages.setPiece(index, 1, at, length);
    messages.setPieceCount(index, 2);
  }

  /** Message `index` is received into [at, at + length), its first `prefixBytes` into `prefix(index)`. */
  setIncoming(index: number, at: number, length: number, prefixBytes: number): void {
    const { messages } = this;
    const pieces = prefixBytes === 0 ? 1 : 2;
    messages.setRoom(index);
    messages.setPieceCount(index, pieces);
    if (prefixBytes > 0) messages.setPiece(index, 0, this.prefix(index), prefixBytes);
    messages.setPiece(index, pieces - 1, at, length);
  }

  /** The type of service that message `index` came with; 0 when the kernel does not say. */
  receivedTos(index: number): number {
    const at = this.messages.receivedControl(index, RECEIVED_TOS, 1);
    return at < 0 ? 0 : (this.memory.arena.bytes[at] as number);
  }

  /** Readies `single` for a receive into the thread's scratch, and returns its address. */
  resetSingle(payloadBytes: number): number {
    const { memory, single } = this;
    single.setRoom(0);
    single.setPiece(0, 0, memory.scratch, payloadBytes);
    return single.address(0);
  }
}
