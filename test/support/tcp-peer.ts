import assert from 'node:assert/strict';
import { Counters } from '../../src/env/counters.ts';
import type { Target } from '../../src/flow/route.ts';
import { MemoryHost, type MemoryHostOptions } from '../../src/host/memory/memory-host.ts';
import type { Acceptor, MemoryPeer } from '../../src/host/memory/memory-stream.ts';
import { Neighbor } from '../../src/ip/neighbor.ts';
import type { Packet } from '../../src/ip/packet.ts';
import { Frame } from '../../src/link/frame.ts';
import type { Port } from '../../src/link/port.ts';
import { Tcp, type TcpLimits } from '../../src/tcp/tcp.ts';
import { Turn } from '../../src/turn/turn.ts';
import { readU16, readU32, writeU16 } from '../../src/wire/bytes.ts';
import { foldedComplement, pseudoHeaderSum, sumBytes } from '../../src/wire/checksum.ts';
import { seqAdd, seqDiff } from '../../src/wire/seqnum.ts';
import { ACK, FIN, PSH, parseTcp, RST, SYN, TcpHeader, URG, writeTcp } from '../../src/wire/tcp.ts';
import { parseTcpOptions, TcpOptions, writeSackOption, writeSynOptions } from '../../src/wire/tcp-options.ts';
import { GuestOutlet, type GuestOutletOptions, type SentFrame } from './guest-outlet.ts';
import { PlainArena } from './plain-arena.ts';

export const GUEST = 0xc0a84103;
export const REMOTE = 0xcb007107;
export const REMOTE_PORT = 80;
const GATEWAY_MAC = 0x5a94ef_e40cdd;
const GUEST_MAC = 0x5a94ef_e40001;
const RX_BYTES = 4 * 1024 * 1024;

/** First sequence numbers of guest and stack; near the end of the number space every comparison wraps. */
export const ISNS: readonly (readonly [name: string, guest: number, stack: number])[] = [
  ['small numbers', 1000, 5000],
  ['numbers that wrap', 0xffff_ff00, 0xffff_fe00],
  ['numbers that change sign', 0x7fff_ff00, 0x7fff_fe00],
];

/** A segment with its numbers relative to the two initial ones: SYN is 0, the first byte 1, whatever the ISNs. */
export interface Segment {
  /** Letters of S F R P A U, in that order. */
  readonly flags: string;
  readonly seq: number;
  readonly ack: number;
  /** As it stands in the header, not scaled. */
  readonly window: number;
  readonly text: Uint8Array;
  readonly mss: number;
  readonly scale: number;
  readonly sackPermitted: boolean;
  readonly sack: readonly (readonly [number, number])[];
  readonly gsoSize: number;
}

/** What a test says about a segment that the guest sends; the rest has defaults. */
export interface SegmentFacts {
  readonly flags?: string;
  readonly seq?: number;
  readonly ack?: number;
  readonly window?: number;
  readonly text?: Uint8Array;
  readonly syn?: { readonly mss?: number; readonly scale?: number; readonly sack?: boolean };
  readonly sack?: readonly (readonly [number, number])[];
  readonly port?: number;
  /** The segment is the first of a train of so many (link/Frame): `text` is cut into that many equal parts. */
  readonly train?: number;
  /** Of the packet; 64 unless told. */
  readonly ttl?: number;
  /** Of the packet; 0 unless told. */
  readonly tos?: number;
}

/** The scripted server: what reached it, and how it ended. */
export class Server {
  readonly peer: MemoryPeer;
  readonly chunks: Uint8Array[] = [];
  ended = false;
  reset: string | undefined;

  constructor(peer: MemoryPeer) {
    this.peer = peer;
  }

  get received(): Uint8Array {
    return concat(this.chunks);
  }
}

export interface TcpWorldOptions {
  readonly guestIss?: number;
  readonly stackIss?: number;
  readonly limits?: Partial<TcpLimits>;
  readonly outlet?: GuestOutletOptions;
  readonly host?: MemoryHostOptions;
  readonly decide?: (destination: number, port: number) => Target;
}

/** An ICMP error that the stack would have sent. */
export interface IcmpFacts {
  readonly type: number;
  readonly code: number;
  readonly source: number | undefined;
  readonly firstWord: number;
  readonly secondWord: number;
}

/** TCP with one scripted guest before it and the in-memory host behind it; time moves by hand. */
export class TcpWorld {
  readonly arena: PlainArena = new PlainArena(24 * 1024 * 1024);
  readonly counters: Counters = new Counters();
  readonly turn: Turn = new Turn(1_000_000);
  readonly host: MemoryHost;
  readonly outlet: GuestOutlet;
  readonly neighbor: Neighbor;
  readonly tcp: Tcp;
  readonly icmp: IcmpFacts[] = [];
  /** Connections that the default server accepted, oldest first. */
  readonly servers: Server[] = [];
  readonly guestIss: number;
  readonly stackIss: number;
  nowMs = 1_000_000;
  dials = 0;
  readonly #rx: number;
  #rxNext = 0;

  constructor(options: TcpWorldOptions = {}) {
    this.guestIss = options.guestIss ?? 1000;
    this.stackIss = options.stackIss ?? 5000;
    this.host = new MemoryHost(this.arena, options.host);
    this.outlet = new GuestOutlet(this.arena, options.outlet);
    const port: Partial<Port> = { attached: true, attachment: 'tap0', outlet: this.outlet };
    this.neighbor = new Neighbor(GUEST, GUEST_MAC, port as Port, 0);
    this.#rx = this.arena.allocate(RX_BYTES);
    this.tcp = new Tcp({
      arena: this.arena,
      turn: this.turn,
      counters: this.counters,
      random: { u32: () => this.stackIss },
      host: this.host,
      icmpErrors: {
        about: (packet, type, code, source) => {
          const at = packet.payloadAt;
          const firstWord = readU32(this.arena.bytes, at);
          this.icmp.push({ type, code, source, firstWord, secondWord: readU32(this.arena.bytes, at + 4) });
        },
        aboutQuoted: (_to, quoted, { type, code }, source) =>
          void this.icmp.push({ type, code, source, firstWord: quoted.firstWord, secondWord: quoted.secondWord }),
        pathMtu: () => {},
      },
      gatewayMac: GATEWAY_MAC,
      limits: { flows: 1000, dialsInFlight: 1000, windowBytes: 4 * 1024 * 1024, ...options.limits },
      decide: options.decide ?? ((address, port) => ({ kind: 'host', address, port })),
    });
  }

  /** A server at REMOTE:REMOTE_PORT that keeps what it gets. */
  listen(script?: (server: Server) => void): void {
    const accept: Acceptor = (peer) => {
      const server = new Server(peer);
      this.servers.push(server);
      script?.(server);
      return {
        data: (bytes) => void server.chunks.push(bytes),
        end: () => {
          server.ended = true;
        },
        reset: (code) => {
          server.reset = code;
        },
      };
    };
    this.host.listenTcp(REMOTE, REMOTE_PORT, accept);
  }

  /** The server of the only connection. */
  get server(): Server {
    assert.equal(this.servers.length, 1, 'one connection reached the server');
    return this.servers[0]!;
  }

  /** Hands segments to the stack as one batch of frames, then lets everything come to rest. */
  send(...segments: SegmentFacts[]): void {
    this.sendQuietly(...segments);
    this.settle();
  }

  /** Hands segments to the stack and runs one turn; what the host has to say waits. */
  sendQuietly(...segments: SegmentFacts[]): void {
    this.turn.ingress.add({ queued: false, work: () => this.#receiveAll(segments) });
    this.turn.run(this.nowMs);
  }

  /** Host and stack until neither has anything to do at this time. */
  settle(): void {
    for (let rounds = 0; rounds < 100_000; rounds++) {
      this.host.deliver();
      this.turn.run(this.nowMs);
      if (this.host.deliveries.pending === 0 && this.turn.waitMs(1) > 0) return;
    }
    throw new Error('the stack does not come to rest');
  }

  /** Lets `ms` pass, timers fired at their time. */
  advance(ms: number): void {
    const until = this.nowMs + ms;
    while (this.nowMs < until) {
      this.nowMs = Math.min(until, this.nowMs + Math.max(1, Math.ceil(this.turn.waitMs(until - this.nowMs))));
      this.settle();
    }
  }

  /** What came out since the last call, checksums verified. */
  take(): Segment[] {
    return this.outlet.take().map((frame) => this.#parse(frame));
  }

  /** The one segment that came out. */
  takeOne(): Segment {
    const segments = this.take();
    assert.equal(segments.length, 1, `one segment, not: ${segments.map(describe).join(' | ') || 'none'}`);
    return segments[0]!;
  }

  /** What came out in short form: 'SA 0 1', 'PA 1 1 +100'. */
  said(): string[] {
    return this.take().map(describe);
  }

  /** Nothing is held any more: no flow, dial, window or chunk. */
  assertBaseLine(): void {
    const { flowCount, dialsInFlight, windowBytesReserved, chunkBytesUsed, gatheredPieces } = this.tcp;
    assert.deepEqual(
      { flowCount, dialsInFlight, windowBytesReserved, chunkBytesUsed, gatheredPieces },
      { flowCount: 0, dialsInFlight: 0, windowBytesReserved: 0, chunkBytesUsed: 0, gatheredPieces: 0 },
    );
  }

  /** State of the only flow. */
  get state(): string {
    const flows = this.tcp.list(2);
    assert.ok(flows.length < 2, 'one flow at most');
    return flows[0]?.state ?? 'none';
  }

  #receiveAll(segments: readonly SegmentFacts[]): void {
    for (const facts of segments) this.#receive(facts);
  }

  #receive(facts: SegmentFacts): void {
    const { train = 1, text = new Uint8Array(0), seq = 1 } = facts;
    const part = text.length / train;
    const stride = 100 + part;
    if (this.#rxNext + train * stride > RX_BYTES) this.#rxNext = 0;
    const at = this.#rx + this.#rxNext;
    this.#rxNext += train * stride;
    let length = 0;
    for (let i = 0; i < train; i++) {
      const some = { ...facts, seq: seq + i * part, text: text.subarray(i * part, (i + 1) * part) };
      length = this.#write(at + i * stride, some);
    }
    const frame = new Frame();
    frame.count = train;
    frame.stride = stride;
    const packet: Packet = {
      frame,
      neighbor: this.neighbor,
      headerAt: at,
      payloadAt: at,
      payloadEnd: at + length,
      source: GUEST,
      destination: REMOTE,
      protocol: 6,
      ttl: facts.ttl ?? 64,
      dontFragment: true,
      probesPath: false,
      tos: facts.tos ?? 0,
    };
    this.tcp.receive(packet);
  }

  /** Writes a segment at `at` with its checksum; returns its length. */
  #write(at: number, facts: SegmentFacts): number {
    const bytes = this.arena.bytes;
    const { text = new Uint8Array(0), port = 40_000, window = 65_535 } = facts;
    const headerBytes = 20 + writeOptions(bytes, at + 20, facts, this.stackIss);
    const length = headerBytes + text.length;
    const flags = parseFlags(facts.flags ?? 'A');
    const sequence = seqAdd(this.guestIss, facts.seq ?? 1);
    const ack = (flags & ACK) === 0 ? 0 : seqAdd(this.stackIss, facts.ack ?? 1);
    const ports = { sourcePort: port, destinationPort: REMOTE_PORT };
    writeTcp(bytes, at, { ...ports, sequence, acknowledgment: ack, headerBytes, flags, window });
    bytes.set(text, at + headerBytes);
    const pseudo = pseudoHeaderSum(GUEST, REMOTE, 6, length);
    writeU16(bytes, at + 16, foldedComplement(sumBytes(bytes, at, length, pseudo)));
    return length;
  }

  #parse(frame: SentFrame): Segment {
    const { bytes, gsoSize, needsChecksum } = frame;
    const end = 14 + readU16(bytes, 16);
    assert.equal(end, bytes.length, 'IP total length');
    assert.equal(readU32(bytes, 30), GUEST);
    const pseudo = pseudoHeaderSum(readU32(bytes, 26), GUEST, 6, end - 34);
    if (!needsChecksum) assert.equal(sumBytes(bytes, 34, end - 34, pseudo), 0xffff, 'TCP checksum');
    const header = new TcpHeader();
    assert.equal(parseTcp(bytes, 34, end, header), undefined);
    const options = new TcpOptions();
    const textAt = 34 + header.headerBytes;
    assert.equal(parseTcpOptions(bytes, 54, textAt, options), undefined);
    const sack: [number, number][] = [];
    for (let i = 0; i < options.sackCount; i++) {
      sack.push([seqDiff(options.sackLeft[i]!, this.guestIss), seqDiff(options.sackRight[i]!, this.guestIss)]);
    }
    const flags = [SYN, FIN, RST, PSH, ACK, URG].map((bit, i) => ((header.flags & bit) === 0 ? '' : 'SFRPAU'[i]));
    return {
      flags: flags.join(''),
      // An RST for what has no flow counts from 0.
      seq: (header.flags & RST) !== 0 && header.sequence === 0 ? 0 : seqDiff(header.sequence, this.stackIss),
      ack: (header.flags & ACK) === 0 ? 0 : seqDiff(header.acknowledgment, this.guestIss),
      window: header.window,
      text: bytes.slice(textAt),
      mss: options.mss,
      scale: options.windowScale,
      sackPermitted: options.sackPermitted,
      sack,
      gsoSize,
    };
  }
}

export function describe(segment: Segment): string {
  const { flags, seq, ack, text, sack } = segment;
  const blocks = sack.map(([left, right]) => ` [${left},${right})`).join('');
  return `${flags} ${seq} ${ack}${text.length > 0 ? ` +${text.length}` : ''}${blocks}`;
}

/** The bytes [from, from + length) of one endless text, the same in every test. */
export function text(length: number, from = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => ((from + i) * 31 + ((from + i) >>> 8) * 7) & 0xff);
}

export function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** Fails without printing megabytes. */
export function assertSameBytes(actual: Uint8Array, expected: Uint8Array): void {
  assert.equal(actual.length, expected.length, 'as many bytes');
  const wrong = actual.findIndex((byte, i) => byte !== expected[i]);
  assert.equal(wrong, -1, `byte ${wrong} differs`);
}

export interface ConnectionFacts extends TcpWorldOptions {
  readonly syn?: SegmentFacts['syn'];
  /** The guest's window, as in the header. */
  readonly window?: number;
  readonly script?: (server: Server) => void;
}

/** The guest's SYN was answered by a SYN-ACK, nothing else happened. */
export function synReceived(facts: ConnectionFacts = {}): TcpWorld {
  const world = new TcpWorld(facts);
  world.listen(facts.script);
  const syn = { mss: 1460, scale: 0, sack: true, ...facts.syn };
  world.send({ flags: 'S', seq: 0, window: facts.window ?? 65_535, syn });
  assert.deepEqual(world.said(), ['SA 0 1']);
  return world;
}

/** Handshake done, nothing sent. */
export function established(facts: ConnectionFacts = {}): TcpWorld {
  const world = synReceived(facts);
  world.send({ window: facts.window ?? 65_535 });
  if (facts.script === undefined) assert.deepEqual(world.said(), []);
  return world;
}

/** The guest ended first (its FIN is number 1) and that is acknowledged. */
export function closeWait(facts: ConnectionFacts = {}): TcpWorld {
  const world = established(facts);
  world.send({ flags: 'FA' });
  assert.deepEqual(world.said(), ['A 1 2']);
  assert.equal(world.state, 'CLOSE-WAIT');
  return world;
}

/** The server ended first (our FIN is number 1), not acknowledged yet. */
export function finWait1(facts: ConnectionFacts = {}): TcpWorld {
  const world = established(facts);
  world.server.peer.end();
  world.settle();
  assert.deepEqual(world.said(), ['FA 1 1']);
  assert.equal(world.state, 'FIN-WAIT-1');
  return world;
}

export function finWait2(facts: ConnectionFacts = {}): TcpWorld {
  const world = finWait1(facts);
  world.send({ ack: 2 });
  assert.equal(world.state, 'FIN-WAIT-2');
  assert.deepEqual(world.said(), []);
  return world;
}

function parseFlags(letters: string): number {
  let flags = 0;
  for (const letter of letters) flags |= { S: SYN, F: FIN, R: RST, P: PSH, A: ACK, U: URG }[letter] ?? 0;
  return flags;
}

function writeOptions(bytes: Uint8Array, at: number, facts: SegmentFacts, stackIss: number): number {
  const { syn, sack } = facts;
  if (syn !== undefined) return writeSynOptions(bytes, at, syn.mss ?? 1460, syn.scale ?? -1, syn.sack ?? false);
  if (sack === undefined) return 0;
  const left = Uint32Array.from(sack, ([l]) => seqAdd(stackIss, l));
  const right = Uint32Array.from(sack, ([, r]) => seqAdd(stackIss, r));
  return writeSackOption(bytes, at, sack.length, left, right);
}
