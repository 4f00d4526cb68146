import assert from 'node:assert/strict';
import type { HostErrorCode, HostStream, HostStreamHandler, PieceList } from '../../../src/env/host.ts';
import { LOOPBACK4 } from '../../../src/env/host.ts';
import { boundPort, openListeningSocket } from '../../../src/host/epoll/attachment-listener.ts';
import * as libc from '../../../src/host/epoll/libc.ts';
import { Errno, errorCode } from '../../../src/host/errno.ts';
import { SO_RCVBUF } from '../../../src/host/socket-options.ts';
import type { EpollHarness } from './harness.ts';

/** Notes what a stream's handler is told. */
export class StreamRecorder implements HostStreamHandler {
  isConnected = false;
  failure: HostErrorCode | undefined;
  readableCalls = 0;
  writableCalls = 0;

  connected(): void {
    assert.equal(this.isConnected, false);
    this.isConnected = true;
  }

  failed(code: HostErrorCode): void {
    this.failure = code;
  }

  readable(): void {
    this.readableCalls++;
  }

  writable(): void {
    this.writableCalls++;
  }
}

/**
 * A server whose sockets are raw descriptors, so that a test decides each byte, flag and ending; all calls return at
 * once.
 */
export class RawServer {
  readonly port: number;
  readonly #harness: EpollHarness;
  readonly #fd: number;
  readonly #scratch: number;

  /** @param receiveBytes what a connection keeps unread at the least, if not the kernel's choice. */
  constructor(harness: EpollHarness, address = LOOPBACK4, receiveBytes?: number) {
    const fd = openListeningSocket(harness.memory, { kind: 'tcp', address, port: 0 });
    assert.ok(typeof fd === 'number', `no listening socket: ${fd}`);
    if (receiveBytes !== undefined) harness.memory.setOption(fd, SO_RCVBUF, receiveBytes);
    this.#harness = harness;
    this.#fd = fd;
    this.#scratch = harness.arena.allocate(2 ** 20);
    this.port = boundPort(harness.memory, fd);
  }

  /** The connection that was made longest ago; loopback has completed it by the time connect() returned. */
  accept(): number {
    const fd = this.acceptIfThere();
    assert.ok(fd >= 0, 'nobody connected');
    return fd;
  }

  /** As `accept`; below 0 when nobody has connected yet. */
  acceptIfThere(): number {
    return libc.accept4(this.#fd, 0, 0, libc.SOCK_FLAGS);
  }

  /** Sends what fits and returns how much that was. */
  send(fd: number, bytes: Uint8Array, flags = 0): number {
    this.#harness.arena.bytes.set(bytes, this.#scratch);
    const address = this.#harness.memory.base + this.#scratch;
    return libc.send(fd, address, bytes.length, flags | libc.MSG_NOSIGNAL | libc.MSG_DONTWAIT);
  }

  /** What waits (empty at the end of the stream), or the error. */
  receive(fd: number): Uint8Array | HostErrorCode {
    const length = libc.recv(fd, this.#harness.memory.base + this.#scratch, 2 ** 20, libc.MSG_DONTWAIT);
    if (length < 0) return libc.errno() === Errno.EAGAIN ? 'EINVAL' : errorCode(libc.errno());
    return this.#harness.arena.bytes.slice(this.#scratch, this.#scratch + length);
  }

  reset(fd: number): void {
    this.#harness.memory.setResetOnClose(fd, true);
    libc.close(fd);
  }

  end(fd: number): void {
    libc.close(fd);
  }

  close(): void {
    libc.close(this.#fd);
  }
}

/** The bytes of a text. */
export function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Bytes that tell their own position. */
export function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i ^ (i >> 8) ^ (i >> 16)) & 0xff);
}

/** A gather list of pieces that lie in the arena. */
export function pieces(...ranges: readonly (readonly [at: number, length: number])[]): PieceList {
  return {
    at: Int32Array.from(ranges, ([at]) => at),
    length: Int32Array.from(ranges, ([, length]) => length),
    count: ranges.length,
  };
}

/** Peeks and consumes all that waits; how it ended comes with it. */
export class Reader {
  readonly #harness: EpollHarness;
  readonly #stream: HostStream;
  readonly #at: number;
  readonly #chunks: Uint8Array[] = [];
  /** Return of the last peek that copied nothing: 0, WOULD_BLOCK or FAILED. */
  last = -1;

  constructor(harness: EpollHarness, stream: HostStream) {
    this.#harness = harness;
    this.#stream = stream;
    this.#at = harness.arena.allocate(65536);
  }

  read(): void {
    for (;;) {
      const copied = this.#stream.peekInto(0, this.#at, 65536, 65536, 1);
      if (copied <= 0) {
        this.last = copied;
        return;
      }
      this.#chunks.push(this.#harness.arena.bytes.slice(this.#at, this.#at + copied));
      this.#stream.consume(copied);
    }
  }

  get bytes(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }
}
