import { strict as assert } from 'node:assert';
import {
  type DatagramBatch,
  type DatagramFailure,
  FAILED,
  type HostAddress,
  type HostDatagram,
  type HostDatagramHandler,
  type HostErrorCode,
  type HostStream,
  type HostStreamHandler,
  type IcmpCause,
  type PieceList,
  WOULD_BLOCK,
} from '../../../src/env/host.ts';
import type { BoundSockets, HostClient, HostDatagramServer, HostListener } from '../../../src/env/host-listener.ts';
import type { Harness, PeerAddress, PeerConnection, PeerPlace, PeerServer, Peers, Wanted } from './harness.ts';
import type { SocketPaths } from './socket-paths.ts';

const READ_AREA_BYTES = 2 << 20;
const WRITE_AREA_BYTES = 2 << 20;
const PIECE_BYTES = 64 << 10;

/** Records what the engine calls. */
export class StreamEvents implements HostStreamHandler {
  readonly calls: ('connected' | 'failed' | 'readable' | 'writable')[] = [];
  failure: HostErrorCode | undefined;
  cause: IcmpCause | undefined;

  get isConnected(): boolean {
    return this.calls.includes('connected');
  }

  count(what: 'connected' | 'failed' | 'readable' | 'writable'): number {
    return this.calls.filter((call) => call === what).length;
  }

  connected(): void {
    this.calls.push('connected');
  }

  failed(code: HostErrorCode, cause?: IcmpCause): void {
    this.calls.push('failed');
    this.failure = code;
    this.cause = cause;
  }

  readable(): void {
    this.calls.push('readable');
  }

  writable(): void {
    this.calls.push('writable');
  }
}

/** Records what the engine calls of a datagram socket; failures are copied. */
export class DatagramEvents implements HostDatagramHandler {
  readableCalls = 0;
  readonly failures: DatagramFailure[] = [];

  readable(): void {
    this.readableCalls++;
  }

  failed(failure: DatagramFailure): void {
    this.failures.push({ ...failure });
  }
}

/** A dialled stream, its events and its peer. */
export interface Dialled {
  readonly stream: HostStream;
  readonly events: StreamEvents;
  readonly peer: PeerConnection;
}

/** A client that was accepted: a copy of what the engine said of it. */
export interface Accepted extends HostClient {
  readonly stream: HostStream;
  readonly events: StreamEvents;
  readonly index: number;
}

/** A row of listening sockets and whom they accepted. */
export interface Listening {
  readonly listener: HostListener;
  readonly accepted: readonly Accepted[];
  readonly places: readonly PeerPlace[];
  readonly sockets: BoundSockets;
  /** Set: clients are turned away. */
  refusing: boolean;
}

/** Served UDP sockets. */
export interface Serving {
  readonly server: HostDatagramServer;
  readonly places: readonly PeerPlace[];
  /** Calls of `readable` by index. */
  readonly readable: Map<number, number>;
}

/** A datagram of a client. */
export interface Served extends Received {
  readonly client: number;
}

/** A datagram as it was received. */
export interface Received extends PeerAddress {
  readonly bytes: Uint8Array;
}

/** A harness with memory to read into and to write from, and the words in which the cases are told. */
export class Rig {
  readonly harness: Harness;
  readonly peers: Peers;
  readonly paths: SocketPaths;
  readonly readAt: number;
  readonly writeAt: number;
  readonly #batch = makeBatch(64);

  constructor(harness: Harness, peers: Peers, paths: SocketPaths) {
    this.harness = harness;
    this.peers = peers;
    this.paths = paths;
    this.readAt = harness.arena.allocate(READ_AREA_BYTES);
    this.writeAt = harness.arena.allocate(WRITE_AREA_BYTES);
    assert.ok(this.readAt >= 0 && this.writeAt >= 0, 'the arena of the harness is too small');
  }

  until(condition: () => boolean, what: string): Promise<void> {
    return this.harness.until(condition, what);
  }

  /** Lets everything that is under way happen: for what must *not* happen. */
  async settle(): Promise<void> {
    for (let i = 0; i < 20; i++) await this.harness.poll();
  }

  /** Starts a dial that must not fail at once. */
  startDial(to: PeerAddress, ttl = 0): { stream: HostStream; events: StreamEvents } {
    const events = new StreamEvents();
    const stream = this.harness.host.dial(to.address, to.port, ttl, events);
    assert.ok(typeof stream !== 'string', `the dial failed at once: ${stream as string}`);
    return { stream, events };
  }

  /** Dials `server` and waits until both sides are there. */
  async dial(server: PeerServer): Promise<Dialled> {
    const before = server.connections.length;
    const { stream, events } = this.startDial(server);
    await this.until(() => events.isConnected && server.connections.length > before, 'the dial to connect');
    return { stream, events, peer: server.connections[before] as PeerConnection };
  }

  /** How a dial that fails ends, at once or later. */
  async dialFailure(address: HostAddress, port: number): Promise<HostErrorCode> {
    const events = new StreamEvents();
    const stream = this.harness.host.dial(address, port, 0, events);
    if (typeof stream === 'string') {
      assert.deepEqual(events.calls, []);
      return stream;
    }
    await this.until(() => events.calls.length > 0, 'the dial to fail');
    await this.settle();
    assert.deepEqual(events.calls, ['failed']);
    return events.failure as HostErrorCode;
  }

  /** Peeks; the result and the bytes out of the slots. */
  peek(stream: HostStream, offset: number, slotBytes: number, count: number, stride = slotBytes): Peeked {
    const result = stream.peekInto(offset, this.readAt, slotBytes, stride, count);
    const parts: Uint8Array[] = [];
    for (let slot = 0, left = result; left > 0; slot++, left -= slotBytes) {
      const at = this.readAt + slot * stride;
      parts.push(this.harness.arena.bytes.slice(at, at + Math.min(slotBytes, left)));
    }
    return { result, bytes: Buffer.concat(parts) };
  }

  /** Waits until `length` bytes wait beyond `offset`. */
  async waiting(stream: HostStream, length: number, offset = 0): Promise<void> {
    await this.until(() => this.peek(stream, offset, 65_536, 30).result >= length, `${length} bytes to wait`);
  }

  /** Reads and consumes until the end, or until `length` bytes came. */
  async read(stream: HostStream, length = Number.POSITIVE_INFINITY): Promise<Ending> {
    const parts: Uint8Array[] = [];
    let total = 0;
    let ending: Ending['ending'];
    await this.until(() => {
      while (total < length) {
        const { result, bytes } = this.peek(stream, 0, Math.min(65_536, length - total), 8);
        if (result === WOULD_BLOCK) return false;
        if (result === 0) ending = 'FIN';
        if (result === FAILED) ending = stream.error ?? assert.fail('FAILED without an error');
        if (result <= 0) return true;
        const taken = bytes.subarray(0, Math.min(result, length - total));
        parts.push(taken);
        total += taken.length;
        stream.consume(taken.length);
      }
      return true;
    }, `${length} bytes or the end`);
    return { bytes: Buffer.concat(parts), ending };
  }

  /** Writes once, as many pieces as `bytes` needs; returns what was taken. At most 2 MiB. */
  write(stream: HostStream, bytes: Uint8Array): number {
    this.harness.arena.bytes.set(bytes, this.writeAt);
    const pieces = makePieces(Math.ceil(bytes.length / PIECE_BYTES));
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      addPiece(pieces, this.writeAt + at, Math.min(PIECE_BYTES, bytes.length - at));
    }
    return stream.write(pieces);
  }

  /** Writes all of `bytes`, waiting for room. */
  async writeAll(stream: HostStream, bytes: Uint8Array): Promise<void> {
    let done = 0;
    await this.until(() => {
      const taken = this.write(stream, bytes.subarray(done, done + WRITE_AREA_BYTES));
      assert.notEqual(taken, FAILED, `write failed: ${stream.error}`);
      done += taken;
      return done === bytes.length;
    }, 'all to be written');
  }

  /** Writes `bytes` again and again until no more is taken; returns how often a byte was taken. */
  async fill(stream: HostStream, bytes: Uint8Array): Promise<number> {
    let total = 0;
    for (let refusals = 0; refusals < 5; ) {
      const taken = this.write(stream, bytes);
      assert.notEqual(taken, FAILED);
      assert.ok(total < 64 << 20, 'a peer that reads nothing took 64 MiB');
      total += taken;
      if (taken === bytes.length) continue;
      refusals++;
      await this.harness.poll();
      // The pattern goes on where it was cut.
      if (taken > 0) bytes = rotate(bytes, taken);
    }
    return total;
  }

  /** Listens on sockets of these addresses (or a unix socket at `path`), paused. */
  async listen(wanted: readonly Wanted[] | string): Promise<Listening> {
    const { harness } = this;
    const bound = typeof wanted === 'string' ? await harness.bindUnix(wanted) : await harness.bind('tcp', wanted);
    const accepted: Accepted[] = [];
    const listener = harness.host.listenStreams(bound.sockets, {
      accepted: (stream, client, index) => {
        if (listening.refusing) return undefined;
        const { address, port, localPort } = client;
        const [clientBytes, localBytes] = [client.clientBytes.slice(), client.localBytes.slice()];
        const events = new StreamEvents();
        accepted.push({ stream, events, index, address, port, clientBytes, localBytes, localPort });
        return events;
      },
      failed: (code, index) => assert.fail(`listener ${index} failed: ${code}`),
    });
    assert.ok(typeof listener !== 'string', `cannot listen: ${listener as string}`);
    const listening: Listening = { listener, accepted, refusing: false, ...bound };
    return listening;
  }

  /** Listens on one address, from now on. */
  async listenAt(address: HostAddress): Promise<Listening & { readonly place: PeerPlace }> {
    const listening = await this.listen([{ address, index: 0 }]);
    assert.equal(listening.listener.resume(), undefined);
    await this.settle();
    return Object.assign(listening, { place: listening.places[0] as PeerPlace });
  }

  /** A client connects and is accepted. */
  async connectTo(listening: Listening, place: PeerPlace): Promise<{ client: PeerConnection; accepted: Accepted }> {
    const before = listening.accepted.length;
    const client = this.peers.connect(place);
    await this.until(() => listening.accepted.length > before, 'the client to be accepted');
    return { client, accepted: listening.accepted[before] as Accepted };
  }

  /** Serves UDP sockets of these addresses. */
  async serve(wanted: readonly Wanted[]): Promise<Serving> {
    const { sockets, places } = await this.harness.bind('udp', wanted);
    const readable = new Map<number, number>();
    const server = this.harness.host.serveDatagrams(sockets, {
      readable: (index) => void readable.set(index, (readable.get(index) ?? 0) + 1),
    });
    assert.ok(typeof server !== 'string', `cannot serve: ${server as string}`);
    await this.settle();
    return { server, places, readable };
  }

  /** Takes at most `count` datagrams that wait at socket `index`. */
  receiveServed(server: HostDatagramServer, index: number, count = 16): Served[] {
    const batch = this.#batch;
    const client = new Int32Array(count);
    const result = server.receive(index, batch, client, this.readAt, 65_536, count);
    assert.equal(batch.count, result);
    return Array.from({ length: result }, (_, i): Served => {
      assert.equal(batch.at[i], this.readAt + i * 65_536, 'each datagram in its own slot');
      const at = batch.at[i] as number;
      const bytes = this.harness.arena.bytes.slice(at, at + (batch.length[i] as number));
      return {
        bytes,
        address: batch.address[i] as number,
        port: batch.port[i] as number,
        client: client[i] as number,
      };
    });
  }

  /** Waits for `count` datagrams at socket `index`. */
  async served(server: HostDatagramServer, index: number, count: number): Promise<Served[]> {
    const received: Served[] = [];
    await this.until(() => {
      received.push(...this.receiveServed(server, index));
      return received.length >= count;
    }, `${count} datagrams at ${index}`);
    return received;
  }

  /** Answers a client of socket `index`. */
  answer(server: HostDatagramServer, index: number, client: number, bytes: Uint8Array): boolean {
    this.harness.arena.bytes.set(bytes, this.writeAt);
    return server.send(index, client, this.writeAt, bytes.length);
  }

  openDatagram(): { socket: HostDatagram; events: DatagramEvents } {
    const events = new DatagramEvents();
    const socket = this.harness.host.openDatagram(events);
    assert.ok(typeof socket !== 'string', `no datagram socket: ${socket as string}`);
    return { socket, events };
  }

  /** Sends each of `datagrams` (at most 64, 2 MiB together) in one batch. */
  sendBatch(socket: HostDatagram, datagrams: readonly Sent[]): number {
    const batch = this.#batch;
    let at = this.writeAt;
    for (const [i, { bytes, to, ttl, dontFragment }] of datagrams.entries()) {
      this.harness.arena.bytes.set(bytes, at);
      batch.at[i] = at;
      batch.length[i] = bytes.length;
      batch.address[i] = to.address;
      batch.port[i] = to.port;
      batch.ttl[i] = ttl ?? 0;
      batch.dontFragment[i] = dontFragment === true ? 1 : 0;
      at += bytes.length;
    }
    batch.count = datagrams.length;
    return socket.send(batch);
  }

  /** Takes at most `count` datagrams that wait. */
  receiveBatch(socket: HostDatagram, count = 16): Received[] {
    const slotBytes = 65_536;
    const batch = this.#batch;
    const result = socket.receive(batch, this.readAt, slotBytes, count);
    assert.equal(batch.count, result);
    const received: Received[] = [];
    for (let i = 0; i < result; i++) {
      assert.equal(batch.at[i], this.readAt + i * slotBytes, 'each datagram in its own slot');
      const bytes = this.harness.arena.bytes.slice(batch.at[i], (batch.at[i] as number) + (batch.length[i] as number));
      received.push({ bytes, address: batch.address[i] as number, port: batch.port[i] as number });
    }
    return received;
  }

  /** Waits for `count` datagrams. */
  async receive(socket: HostDatagram, count: number): Promise<Received[]> {
    const received: Received[] = [];
    await this.until(() => {
      received.push(...this.receiveBatch(socket));
      return received.length >= count;
    }, `${count} datagrams`);
    return received;
  }
}

export interface Peeked {
  readonly result: number;
  readonly bytes: Uint8Array;
}

export interface Ending {
  readonly bytes: Uint8Array;
  /** Undefined when the length that was asked came before any end. */
  readonly ending: 'FIN' | HostErrorCode | undefined;
}

export interface Sent {
  readonly bytes: Uint8Array;
  readonly to: PeerAddress;
  readonly ttl?: number;
  readonly dontFragment?: boolean;
}

/** `length` bytes that differ at each offset by `seed`: a byte out of its place shows. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let x = (seed * 2_654_435_761) >>> 0;
  for (let i = 0; i < length; i++) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = x >>> 24;
  }
  return bytes;
}

/** Compares long byte strings without printing them. */
export function assertSameBytes(actual: Uint8Array, expected: Uint8Array, what = 'bytes'): void {
  assert.equal(actual.length, expected.length, `${what}: length`);
  if (Buffer.compare(actual, expected) === 0) return;
  const at = expected.findIndex((byte, i) => byte !== actual[i]);
  assert.fail(`${what}: byte ${at} is ${actual[at]}, expected ${expected[at]}`);
}

export function makePieces(capacity: number): PieceList {
  return { at: new Int32Array(capacity), length: new Int32Array(capacity), count: 0 };
}

export function addPiece(pieces: PieceList, at: number, length: number): void {
  pieces.at[pieces.count] = at;
  pieces.length[pieces.count] = length;
  pieces.count++;
}

function makeBatch(capacity: number): DatagramBatch {
  return {
    at: new Int32Array(capacity),
    length: new Int32Array(capacity),
    address: new Float64Array(capacity),
    port: new Int32Array(capacity),
    ttl: new Int32Array(capacity),
    dontFragment: new Uint8Array(capacity),
    tos: new Uint8Array(capacity),
    count: 0,
  };
}

function rotate(bytes: Uint8Array, by: number): Uint8Array {
  return Buffer.concat([bytes.subarray(by), bytes.subarray(0, by)]);
}
