import assert from 'node:assert/strict';
import { Counters } from '../../src/env/counters.ts';
import type { HostErrorCode } from '../../src/env/host.ts';
import type { ForwardChange, ForwardReport, ForwardRequest } from '../../src/forward/forward-request.ts';
import { MemoryHost } from '../../src/host/memory/memory-host.ts';
import type { MemoryClientOrigin, MemorySocketName } from '../../src/host/memory/memory-listeners.ts';
import type { MemoryPeer } from '../../src/host/memory/memory-stream.ts';
import { Neighbor } from '../../src/ip/neighbor.ts';
import { Frame } from '../../src/link/frame.ts';
import type { Port, PortFacts } from '../../src/link/port.ts';
import type { NetworkOptions } from '../../src/network/network-options.ts';
import { Tcp } from '../../src/tcp/tcp.ts';
import { Turn } from '../../src/turn/turn.ts';
import { readMac, readU16, readU32 } from '../../src/wire/bytes.ts';
import { arpFrame, GATEWAY_MAC, ip } from './core-world.ts';
import { mendChecksums, packetFrame, udpFrame } from './guest-frames.ts';
import { GuestOutlet } from './guest-outlet.ts';
import { type GuestEnd, NetworkWorld } from './network-world.ts';
import { PlainArena } from './plain-arena.ts';
import { type LinkFaults, seededRandom } from './tcp-link.ts';
import { concat } from './tcp-peer.ts';

export const FIRST_GUEST_ADDRESS = ip('192.168.65.3');
export const LISTENER: MemorySocketName = { fd: 50 };
const RX_BYTES = 4 * 1024 * 1024;

/** One end of a connection as a script sees it. */
export class Conversation {
  readonly chunks: Uint8Array[] = [];
  peer: MemoryPeer | undefined;
  ended = false;
  reset: HostErrorCode | undefined;
  onReset: (() => void) | undefined;

  accept(peer: MemoryPeer): object {
    this.peer = peer;
    return {
      data: (bytes: Uint8Array) => void this.chunks.push(bytes),
      end: () => {
        this.ended = true;
      },
      reset: (code: HostErrorCode) => {
        this.reset = code;
        this.onReset?.();
      },
    };
  }

  get received(): Uint8Array {
    return concat(this.chunks);
  }

  get text(): string {
    return Buffer.from(this.received).toString('latin1');
  }

  say(text: string | Uint8Array): void {
    this.peer?.send(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  }
}

/** A datagram that a guest got. */
export interface GuestDatagram {
  readonly source: number;
  readonly sourcePort: number;
  readonly port: number;
  readonly bytes: Uint8Array;
}

/** A guest with a TCP stack of its own (our core, turned round) and programs that are scripts. It answers ARP. */
export class ForwardGuest {
  readonly world: ForwardWorld;
  readonly mac: number;
  readonly address: number;
  readonly arena: PlainArena = new PlainArena(24 * 1024 * 1024);
  readonly counters: Counters = new Counters();
  readonly turn: Turn;
  readonly host: MemoryHost;
  readonly tcp: Tcp;
  readonly datagrams: GuestDatagram[] = [];
  /** Source address and port of each connection that a program got, oldest first. */
  readonly peers: { address: number; port: number }[] = [];
  end: GuestEnd;
  /** Hears and says nothing. */
  hung = false;
  /** What a firewall of the guest does with a SYN from an address: REJECT by ICMP "host prohibited", or DROP. */
  firewall: ((source: number, port: number) => 'accept' | 'reject' | 'drop') | undefined;
  faults: LinkFaults | undefined;
  readonly #fresh = new Set<Conversation>();
  readonly #outlet: GuestOutlet;
  readonly #neighbors = new Map<number, Neighbor>();
  readonly #rx: number;
  #rxNext = 0;
  #late: Uint8Array[] = [];

  constructor(world: ForwardWorld, address: number, name: string, facts: PortFacts) {
    this.world = world;
    this.address = address;
    this.mac = 0x5a94_ef00_0000 + (address & 0xff);
    this.turn = new Turn(world.net.nowMs);
    this.#outlet = new GuestOutlet(this.arena);
    this.#rx = this.arena.allocate(RX_BYTES);
    this.host = new MemoryHost(this.arena);
    const random = seededRandom(address);
    this.tcp = new Tcp({
      arena: this.arena,
      turn: this.turn,
      counters: this.counters,
      random: { u32: random },
      host: this.host,
      icmpErrors: { about: () => {}, aboutQuoted: () => {}, pathMtu: () => {} },
      gatewayMac: this.mac,
      limits: { flows: 20_000, dialsInFlight: 20_000, windowBytes: 8 * 1024 * 1024 },
      decide: (destination, port) => ({ kind: 'host', address: destination, port }),
    });
    this.end = world.net.qemu(name, facts);
  }

  announce(): void {
    this.end.send([arpFrame(1, this.mac, this.address, this.address)]);
    this.world.settle();
  }

  /**
   * A program that takes connections. Our core lets its host accept before the handshake is over, a kernel does not:
   * what is reset before the world comes to rest reached no program of a real guest.
   */
  listen(port: number): Conversation[] {
    const talks: Conversation[] = [];
    this.host.listenTcp(this.address, port, (peer) => {
      const talk = new Conversation();
      talks.push(talk);
      this.#fresh.add(talk);
      talk.onReset = () => {
        if (this.#fresh.has(talk)) talks.splice(talks.indexOf(talk), 1);
      };
      return talk.accept(peer);
    });
    return talks;
  }

  /** What programs have now is theirs. */
  rest(): void {
    this.#fresh.clear();
  }

  /** One exchange with the network: takes what came, says what there is to say. Returns whether anything happened. */
  step(nowMs: number): boolean {
    const frames = this.end.take();
    if (this.hung) return frames.length > 0;
    const heard = this.#late.concat(frames.filter((frame) => !this.#lost(frame)));
    this.#late = [];
    this.host.deliver();
    this.turn.ingress.add({ queued: false, work: () => this.#receive(heard) });
    this.turn.run(nowMs);
    this.host.deliver();
    const said = this.#outlet.take().map(({ bytes }) => bytes);
    const sent = said.filter(() => this.faults === undefined || !this.#chance(this.faults.loss));
    if (sent.length > 0) this.end.send(sent);
    return frames.length + said.length > 0 || this.host.deliveries.pending > 0;
  }

  /** A datagram of a program of the guest. */
  sendUdp(port: number, to: number, toPort: number, bytes: Uint8Array): void {
    this.end.send([udpFrame({ mac: this.mac, source: this.address, destination: to }, port, toPort, bytes)]);
    this.world.settle();
  }

  #chance(probability: number): boolean {
    return this.world.random() < probability * 2 ** 32;
  }

  /** Lost now, or to come with the next frames. */
  #lost(frame: Uint8Array): boolean {
    if (this.faults === undefined) return false;
    if (this.#chance(this.faults.loss)) return true;
    if (!this.#chance(this.faults.reordering)) return false;
    this.#late.push(frame);
    return true;
  }

  #receive(frames: readonly Uint8Array[]): void {
    for (const frame of frames) {
      const type = readU16(frame, 12);
      if (type === 0x0806) this.#answerArp(frame);
      else if (type === 0x0800 && frame[23] === 6) this.#receiveTcp(frame);
      else if (type === 0x0800 && frame[23] === 17) this.#receiveUdp(frame);
    }
  }

  #answerArp(frame: Uint8Array): void {
    if (readU16(frame, 20) !== 1 || readU32(frame, 38) !== this.address) return;
    const reply = arpFrame(2, this.mac, this.address, readU32(frame, 28));
    reply.set(frame.subarray(6, 12), 0);
    this.end.send([reply]);
  }

  #receiveUdp(frame: Uint8Array): void {
    if ((readU16(frame, 20) & 0x3fff) !== 0) {
      this.datagrams.push({ source: readU32(frame, 26), sourcePort: 0, port: 0, bytes: frame.slice(34) });
      return;
    }
    this.datagrams.push({
      source: readU32(frame, 26),
      sourcePort: readU16(frame, 34),
      port: readU16(frame, 36),
      bytes: frame.slice(42, 14 + readU16(frame, 16)),
    });
  }

  #receiveTcp(frame: Uint8Array): void {
    if (this.#rxNext + frame.length > RX_BYTES) this.#rxNext = 0;
    const at = this.#rx + this.#rxNext;
    this.#rxNext += frame.length;
    this.arena.bytes.set(frame, at);
    const source = readU32(frame, 26);
    if ((frame[47]! & 0x12) === 0x02) {
      this.peers.push({ address: source, port: readU16(frame, 34) });
      const verdict = this.firewall?.(source, readU16(frame, 36));
      if (verdict === 'reject') this.end.send([this.#prohibited(frame)]);
      if (verdict === 'reject' || verdict === 'drop') return;
    }
    assert.equal(readMac(frame, 0), this.mac);
    this.tcp.receive({
      frame: new Frame(),
      neighbor: this.#neighbor(source),
      headerAt: at + 14,
      payloadAt: at + 34,
      payloadEnd: at + 14 + readU16(frame, 16),
      source,
      destination: readU32(frame, 30),
      protocol: 6,
      ttl: 64,
      dontFragment: true,
      probesPath: false,
      tos: 0,
    });
  }

  #prohibited(frame: Uint8Array): Uint8Array {
    const message = new Uint8Array(8 + frame.length - 14);
    message.set([3, 10]);
    message.set(frame.subarray(14), 8);
    return mendChecksums(
      packetFrame({ mac: this.mac, source: this.address, destination: readU32(frame, 26) }, 1, message),
    );
  }

  #neighbor(address: number): Neighbor {
    let neighbor = this.#neighbors.get(address);
    if (neighbor === undefined) {
      const port: Partial<Port> = { attached: true, outlet: this.#outlet };
      neighbor = new Neighbor(address, GATEWAY_MAC, port as Port, 0);
      this.#neighbors.set(address, neighbor);
    }
    return neighbor;
  }
}

/** A whole network, guests with stacks of their own before it, clients of an in-memory host behind it, time by hand. */
export class ForwardWorld {
  readonly net: NetworkWorld;
  readonly guests: ForwardGuest[] = [];
  readonly changes: ForwardChange[] = [];
  readonly random: () => number = seededRandom(7);

  constructor(network: Partial<NetworkOptions> = {}, { debug = false }: { readonly debug?: boolean } = {}) {
    this.net = new NetworkWorld({
      debug,
      network: { ...network, onForward: (change) => void this.changes.push(change) },
    });
  }

  get counters(): Counters {
    return this.net.counters;
  }

  /** A guest; `spoken`: the network has heard it. */
  guest(address: number = FIRST_GUEST_ADDRESS, spoken = true, facts: PortFacts = {}): ForwardGuest {
    const guest = new ForwardGuest(this, address, `guest ${this.guests.length}`, facts);
    this.guests.push(guest);
    if (spoken) guest.announce();
    return guest;
  }

  /** Asks for a forward; what it was answered with, once it was. */
  open(facts: Partial<ForwardRequest> = {}): { outcome: ForwardReport | HostErrorCode | undefined } {
    const answer: { outcome: ForwardReport | HostErrorCode | undefined } = { outcome: undefined };
    const request: ForwardRequest = {
      id: 1,
      protocol: 'tcp',
      sockets: { kind: 'descriptors', fds: [50], index: [0] },
      guestAddress: FIRST_GUEST_ADDRESS,
      guestPort: 80,
      source: 'client',
      proxy: 'none',
      waitMs: 0,
      ...facts,
    };
    this.net.network.openForward(request, (outcome) => {
      assert.equal(answer.outcome, undefined, 'answered once');
      answer.outcome = outcome;
    });
    this.settle();
    return answer;
  }

  /** A client of the host connects. */
  connect(from: Partial<MemoryClientOrigin> = {}, to: MemorySocketName = LISTENER): Conversation {
    const talk = this.connectQuietly(from, to);
    this.settle();
    return talk;
  }

  connectQuietly(from: Partial<MemoryClientOrigin> = {}, to: MemorySocketName = LISTENER): Conversation {
    const talk = new Conversation();
    const origin = { address: ip('10.1.2.3'), port: 50_000, ...from };
    this.net.host.clients.connect(to, origin, (peer) => talk.accept(peer));
    return talk;
  }

  get isListening(): boolean {
    return this.net.host.clients.isListening(LISTENER);
  }

  get report(): ForwardReport | undefined {
    return this.net.network.forwards()[0];
  }

  /** Until nobody has anything to do at this time. */
  settle(): void {
    for (let rounds = 0; rounds < 20_000; rounds++) {
      this.net.settle();
      const busy = this.guests.map((guest) => guest.step(this.net.nowMs)).includes(true);
      if (busy || this.net.host.deliveries.pending > 0) continue;
      for (const guest of this.guests) guest.rest();
      return;
    }
    assert.fail('the world does not come to rest');
  }

  advance(ms: number): void {
    const until = this.net.nowMs + ms;
    while (this.net.nowMs < until) {
      let wait = Math.ceil(this.net.network.turn.waitMs(until - this.net.nowMs));
      for (const { turn } of this.guests) wait = Math.min(wait, Math.ceil(turn.waitMs(wait)));
      this.net.nowMs = Math.min(until, this.net.nowMs + Math.max(1, wait));
      this.settle();
    }
  }

  /** Nobody holds anything any more. */
  assertNothingHeld(): void {
    const { gauges } = this.net;
    const names = ['tcp-flows', 'tcp-window-bytes', 'tcp-chunk-bytes', 'forward-waiting', 'forward-udp-clients'];
    assert.deepEqual(
      names.map((name) => [name, gauges[name]]),
      names.map((name) => [name, 0]),
    );
  }
}
