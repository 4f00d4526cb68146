import { QEMU_UNIX } from '../../src/attachment/kinds/qemu-unix.ts';
import assert from 'node:assert/strict';
import { DEFAULT_DHCP } from '../../src/dhcp/dhcp-options.ts';
import { Counters } from '../../src/env/counters.ts';
import type { ServiceClient } from '../../src/env/gateway-services.ts';
import type { LogFields } from '../../src/env/log.ts';
import { MemoryHost, type MemoryHostOptions } from '../../src/host/memory/memory-host.ts';
import type { MemoryPeer } from '../../src/host/memory/memory-stream.ts';
import type { PortFacts } from '../../src/link/port.ts';
import type { AttachedGuest } from '../../src/network/attached-guests.ts';
import type { NetworkOptions } from '../../src/network/network-options.ts';
import { CoreNetwork } from '../../src/network/core-network.ts';
import { parseCidr } from '../../src/wire/cidr.ts';
import { GATEWAY, HOST } from './core-world.ts';
import { GuardedArena } from './guarded-arena.ts';
import { MemoryPipe } from './memory-pipe.ts';

const ARENA_BYTES = 128 * 2 ** 20;
/** In front of a tap's frame when nothing is offloaded. */
const PLAIN_HEADER = new Uint8Array(10);

/** A datagram that reached a gateway service. */
export interface ServiceQuestion {
  readonly service: string;
  readonly guestAddress: number;
  readonly guestPort: number;
  readonly gatewayAddress: number;
  readonly gatewayPort: number;
  readonly bytes: Uint8Array;
}

/** A connection that reached a scripted server. */
export interface Arrived {
  readonly peer: MemoryPeer;
  readonly chunks: Uint8Array[];
  ended: boolean;
  reset: string | undefined;
}

export interface NetworkWorldOptions {
  readonly host?: MemoryHostOptions;
  readonly network?: Partial<NetworkOptions>;
  readonly arenaBytes?: number;
  /** Its lines are kept with the others. */
  readonly debug?: boolean;
}

/** The whole network over a guarded arena, the host in memory behind it, time by hand. */
export class NetworkWorld {
  readonly arena: GuardedArena;
  readonly counters: Counters = new Counters();
  readonly lines: { message: string; fields: LogFields | undefined }[] = [];
  readonly questions: ServiceQuestion[] = [];
  readonly host: MemoryHost;
  readonly network: CoreNetwork;
  readonly #replyAt: number;
  nowMs = 1_000_000;

  constructor(options: NetworkWorldOptions = {}) {
    let random = 0x1234_5678;
    this.arena = new GuardedArena(options.arenaBytes ?? ARENA_BYTES);
    this.host = new MemoryHost(this.arena, options.host);
    const line = (message: string, fields?: LogFields): void => void this.lines.push({ message, fields });
    const world = {
      arena: this.arena,
      clock: { nowMs: () => this.nowMs },
      random: {
        u32: () => {
          random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
          return random;
        },
      },
      log: { info: line, warn: line, debug: options.debug === true ? line : undefined },
      counters: this.counters,
      host: this.host,
      services: {
        datagram: (service: string, client: ServiceClient, at: number, length: number) => {
          const { guestAddress, guestPort, gatewayAddress, gatewayPort } = client;
          const bytes = this.arena.bytes.slice(at, at + length);
          this.questions.push({ service, guestAddress, guestPort, gatewayAddress, gatewayPort, bytes });
        },
      },
    };
    this.network = new CoreNetwork(world, {
      subnet: parseCidr('192.168.65.0/24')!,
      gateway: GATEWAY,
      hostAddress: HOST,
      mtu: 1500,
      hostLoopback: true,
      dhcp: DEFAULT_DHCP,
      limits: { guests: 6, flows: 64, dialsInFlight: 32, udpMappings: 32 },
      ...options.network,
    });
    this.#replyAt = this.arena.allocate(66_000) + 64;
  }

  get gauges(): Readonly<Record<string, number>> {
    return this.network.gauges;
  }

  /** A server at that address (port 0: all ports) that keeps what comes. */
  listen(address: number, port: number, script?: (arrived: Arrived) => void): Arrived[] {
    const all: Arrived[] = [];
    this.host.listenTcp(address, port, (peer) => {
      const arrived: Arrived = { peer, chunks: [], ended: false, reset: undefined };
      all.push(arrived);
      script?.(arrived);
      return {
        data: (bytes) => void arrived.chunks.push(bytes),
        end: () => {
          arrived.ended = true;
        },
        reset: (code) => {
          arrived.reset = code;
        },
      };
    });
    return all;
  }

  /** A guest on QEMU's stream protocol. */
  qemu(name = 'guest', facts: PortFacts = {}): GuestEnd {
    const pipe = new MemoryPipe(this.arena, 'stream');
    return new GuestEnd('qemu', pipe, this.network.attach(QEMU_UNIX, pipe, name, facts));
  }

  /** A guest behind a tap that takes every offload. */
  tap(name = 'tap'): GuestEnd {
    const pipe = new MemoryPipe(this.arena, 'frames');
    const all = { tcpSegmentation: true, udpSegmentation: true, checksum: true };
    return new GuestEnd('tap', pipe, this.network.attachTap(pipe, name, all));
  }

  /** A service answers; false when the answer found no way. */
  answer(question: ServiceQuestion, bytes: Uint8Array): boolean {
    this.arena.bytes.set(bytes, this.#replyAt);
    return this.network.replyFromService(question, this.#replyAt, bytes.length);
  }

  /** Network and host until neither has anything to do at this time. */
  settle(): void {
    const { turn } = this.network;
    for (let rounds = 0; rounds < 20_000; rounds++) {
      this.host.deliver();
      turn.run(this.nowMs);
      if (this.host.deliveries.pending === 0 && turn.waitMs(1) > 0) return;
    }
    assert.fail('the network does not come to rest');
  }

  /** Lets `ms` pass, timers fired at their time. */
  advance(ms: number): void {
    const { turn } = this.network;
    const until = this.nowMs + ms;
    while (this.nowMs < until) {
      this.nowMs = Math.min(until, this.nowMs + Math.max(1, Math.ceil(turn.waitMs(until - this.nowMs))));
      this.settle();
    }
  }
}

/** The guest's end of its attachment. */
export class GuestEnd {
  readonly kind: 'qemu' | 'tap';
  readonly pipe: MemoryPipe;
  /** Undefined when it was turned away. */
  readonly attached: AttachedGuest | undefined;
  /** What came and is no whole frame yet. */
  #rest: Uint8Array = new Uint8Array(0);

  constructor(kind: 'qemu' | 'tap', pipe: MemoryPipe, attached: AttachedGuest | undefined) {
    this.kind = kind;
    this.pipe = pipe;
    this.attached = attached;
  }

  /** Puts frames on the wire; the network reads them in its next turn. `header` is virtio's, for a tap. */
  send(frames: readonly Uint8Array[], header: Uint8Array = PLAIN_HEADER): void {
    for (const frame of frames) {
      const prefix = this.kind === 'tap' ? header : new Uint8Array(4);
      if (this.kind === 'qemu') new DataView(prefix.buffer).setUint32(0, frame.length);
      const bytes = new Uint8Array(prefix.length + frame.length);
      bytes.set(prefix);
      bytes.set(frame, prefix.length);
      this.pipe.push(bytes);
    }
    this.attached?.readable();
  }

  /** Bytes as they are, for what is no frame. */
  sendRaw(bytes: Uint8Array): void {
    this.pipe.push(bytes);
    this.attached?.readable();
  }

  /** Room for so many bytes more. */
  makeRoom(bytes: number): void {
    this.pipe.room = bytes;
    if (bytes > 0) this.attached?.writable();
  }

  /** Whole frames that came since the last call, oldest first. */
  take(): Uint8Array[] {
    const { writes } = this.pipe;
    const pieces = writes.splice(0, writes.length);
    if (this.kind === 'tap') return pieces.map((piece) => piece.subarray(10));
    const frames: Uint8Array[] = [];
    let bytes: Uint8Array = this.#rest;
    for (const piece of pieces) bytes = Buffer.concat([bytes, piece]);
    let at = 0;
    while (bytes.length - at >= 4) {
      const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);
      assert.ok(length >= 14 && length <= 65_550, `a frame of ${length} bytes came`);
      if (bytes.length - at - 4 < length) break;
      frames.push(bytes.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
    this.#rest = bytes.subarray(at);
    return frames;
  }

  /** The connection is gone. */
  hangUp(): void {
    this.pipe.end();
    this.attached?.readable();
  }
}
