import { Counters } from '../../src/env/counters.ts';
import type { HostErrorCode, HostStream, HostStreamHandler } from '../../src/env/host.ts';
import { MemoryHost } from '../../src/host/memory/memory-host.ts';
import type { Acceptor } from '../../src/host/memory/memory-stream.ts';
import { Neighbor } from '../../src/ip/neighbor.ts';
import { Frame } from '../../src/link/frame.ts';
import type { Port } from '../../src/link/port.ts';
import { Tcp } from '../../src/tcp/tcp.ts';
import { Turn } from '../../src/turn/turn.ts';
import { readU16, readU32 } from '../../src/wire/bytes.ts';
import { GuestOutlet } from './guest-outlet.ts';
import { PlainArena } from './plain-arena.ts';

/** What a link does to frames, each with its probability from 0 to 1. */
export interface LinkFaults {
  readonly loss: number;
  readonly duplication: number;
  readonly reordering: number;
}

/** Milliseconds from end to end, and how much later a reordered frame comes. */
const DELAY_MS = 1;
const LATE_MS = 3;

/** Numbers that the seed decides (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
}

interface Flight {
  readonly atMs: number;
  readonly bytes: Uint8Array;
}

/** One end: its own arena, host and Tcp; what leaves its outlet is on the link. */
export class LinkEnd {
  readonly arena: PlainArena = new PlainArena(32 * 1024 * 1024);
  readonly counters: Counters = new Counters();
  readonly turn: Turn = new Turn(0);
  readonly outlet: GuestOutlet;
  readonly host: MemoryHost;
  readonly tcp: Tcp;
  readonly neighbor: Neighbor;
  readonly #rx: number;
  #rxNext = 0;

  /** @param other address of the other end */
  constructor(other: number, mtu: number, u32: () => number) {
    this.outlet = new GuestOutlet(this.arena, { mtu });
    this.host = new MemoryHost(this.arena);
    const port: Partial<Port> = { attached: true, outlet: this.outlet };
    this.neighbor = new Neighbor(other, 1, port as Port, 0);
    this.#rx = this.arena.allocate(8 * 1024 * 1024);
    const silent = { about: () => undefined, aboutQuoted: () => undefined, pathMtu: () => undefined };
    this.tcp = new Tcp({
      arena: this.arena,
      turn: this.turn,
      counters: this.counters,
      random: { u32 },
      host: this.host,
      icmpErrors: silent,
      gatewayMac: 2,
      limits: { flows: 100, dialsInFlight: 100, windowBytes: 8 * 1024 * 1024 },
      decide: (address, port_) => ({ kind: 'host', address, port: port_ }),
    });
  }

  /** Runs one turn with `frames` as its input. */
  run(nowMs: number, frames: readonly Uint8Array[]): void {
    this.host.deliver();
    this.turn.ingress.add({ queued: false, work: () => this.#receive(frames) });
    this.turn.run(nowMs);
    this.host.deliver();
  }

  #receive(frames: readonly Uint8Array[]): void {
    for (const bytes of frames) {
      if (this.#rxNext + bytes.length > 8 * 1024 * 1024) this.#rxNext = 0;
      const at = this.#rx + this.#rxNext;
      this.#rxNext += bytes.length;
      this.arena.bytes.set(bytes, at);
      this.tcp.receive({
        frame: new Frame(),
        neighbor: this.neighbor,
        headerAt: at + 14,
        payloadAt: at + 34,
        payloadEnd: at + 14 + readU16(bytes, 16),
        source: readU32(bytes, 26),
        destination: readU32(bytes, 30),
        protocol: 6,
        ttl: 64,
        dontFragment: true,
        probesPath: false,
        tos: 0,
      });
    }
  }
}

/** Two ends joined by a bad link; time moves by hand. */
export class Link {
  readonly a: LinkEnd;
  readonly b: LinkEnd;
  nowMs = 0;
  framesSent = 0;
  framesLost = 0;
  readonly #random: () => number;
  readonly #faults: LinkFaults;
  #toA: Flight[] = [];
  #toB: Flight[] = [];

  constructor(addressA: number, addressB: number, mtu: number, seed: number, faults: LinkFaults, iss?: number) {
    this.#random = seededRandom(seed);
    this.#faults = faults;
    const u32 = iss === undefined ? this.#random : () => iss;
    this.a = new LinkEnd(addressB, mtu, u32);
    this.b = new LinkEnd(addressA, mtu, u32);
  }

  /** Runs until `done` or until `limitMs` have passed. */
  run(limitMs: number, done: () => boolean): void {
    const until = this.nowMs + limitMs;
    while (!done() && this.nowMs < until) {
      this.#end(this.a, this.#toA, this.#toB);
      this.#end(this.b, this.#toB, this.#toA);
      this.nowMs = Math.max(this.nowMs + this.#sleepMs(until), this.nowMs);
    }
  }

  #end(end: LinkEnd, arriving: Flight[], leaving: Flight[]): void {
    const frames: Uint8Array[] = [];
    while (arriving.length > 0 && arriving[0]!.atMs <= this.nowMs) frames.push(arriving.shift()!.bytes);
    end.run(this.nowMs, frames);
    for (const { bytes } of end.outlet.take()) this.#carry(bytes, leaving);
  }

  #chance(probability: number): boolean {
    return this.#random() < probability * 2 ** 32;
  }

  #carry(bytes: Uint8Array, leaving: Flight[]): void {
    this.framesSent++;
    if (this.#chance(this.#faults.loss)) {
      this.framesLost++;
      return;
    }
    const late = this.#chance(this.#faults.reordering) ? LATE_MS : 0;
    leaving.push({ atMs: this.nowMs + DELAY_MS + late, bytes });
    if (this.#chance(this.#faults.duplication)) leaving.push({ atMs: this.nowMs + DELAY_MS + LATE_MS, bytes });
    if (leaving.length > 1) leaving.sort((x, y) => x.atMs - y.atMs);
  }

  #sleepMs(until: number): number {
    let wait = until - this.nowMs;
    for (const end of [this.a, this.b]) {
      if (end.host.deliveries.pending > 0) return 0;
      wait = Math.min(wait, Math.ceil(end.turn.waitMs(wait)));
    }
    for (const flights of [this.#toA, this.#toB]) {
      if (flights.length > 0) wait = Math.min(wait, flights[0]!.atMs - this.nowMs);
    }
    return Math.max(0, wait);
  }
}

/**
 * A host stream that is connected already: what Tcp.open gets for an incoming connection. Made by dialling a
 * MemoryHost.
 */
export function connectedStream(
  host: MemoryHost,
  acceptor: Acceptor,
): { stream: HostStream; join(to: HostStreamHandler): void } {
  let target: HostStreamHandler | undefined;
  const handler: HostStreamHandler = {
    connected: () => undefined,
    failed: (code: HostErrorCode) => target?.failed(code),
    readable: () => target?.readable(),
    writable: () => target?.writable(),
  };
  const listener = host.listenTcp(1, 1, acceptor);
  const stream = host.dial(1, 1, 0, handler);
  host.deliver();
  listener.close();
  if (typeof stream === 'string') throw new Error(stream);
  return {
    stream,
    join: (to) => {
      target = to;
    },
  };
}
