import { Counters } from '../../src/env/counters.ts';
import type { Host } from '../../src/env/host.ts';
import { OwnListeners } from '../../src/flow/own-listeners.ts';
import { decide, type Target } from '../../src/flow/route.ts';
import { MemoryHost } from '../../src/host/memory/memory-host.ts';
import type { QuotedPacket } from '../../src/ip/icmp-errors.ts';
import { Neighbor } from '../../src/ip/neighbor.ts';
import type { Packet } from '../../src/ip/packet.ts';
import { Frame } from '../../src/link/frame.ts';
import type { Outlet, OutletWaiter } from '../../src/link/outlet.ts';
import type { Port } from '../../src/link/port.ts';
import { Turn } from '../../src/turn/turn.ts';
import { Udp } from '../../src/udp/udp.ts';
import type { UdpLimits } from '../../src/udp/udp-options.ts';
import { foldedComplement, pseudoHeaderSum } from '../../src/wire/checksum.ts';
import { parseUdp, UdpHeader, writeUdp } from '../../src/wire/udp.ts';
import { PlainArena } from '../support/plain-arena.ts';

export const GATEWAY = 0xc0a84101;
export const HOST_ADDRESS = 0xc0a841fe;
export const GUEST = 0xc0a84103;
export const REMOTE = 0x01020304;

/** A datagram as the guest got it. */
export interface Delivered {
  readonly source: number;
  readonly sourcePort: number;
  readonly port: number;
  readonly text: string;
  readonly length: number;
  readonly checksum: number;
  readonly needsChecksum: boolean;
  readonly tos: number;
}

export interface Reported {
  readonly type: number;
  readonly code: number;
  readonly source: number | undefined;
  readonly mtu: number | undefined;
  readonly quoted: QuotedPacket | undefined;
}

/** Takes one frame after the other in one slot, and keeps them. */
class SlotOutlet implements Outlet {
  readonly mtu = 1500;
  abilities = { maxFrameBytes: 1514, tcpSegmentation: false, udpSegmentation: false, checksum: false };
  full = false;
  readonly waiters: OutletWaiter[] = [];
  readonly #slot: number;
  readonly #taken: (frame: Frame) => void;

  constructor(slot: number, taken: (frame: Frame) => void) {
    this.#slot = slot;
    this.#taken = taken;
  }

  reserve(): number {
    return this.full ? -1 : this.#slot;
  }

  stride(length: number): number {
    return length;
  }

  commit(frame: Frame): void {
    this.#taken(frame);
  }

  cancel(): void {}

  whenWritable(waiter: OutletWaiter): void {
    this.waiters.push(waiter);
  }
}

export interface BenchOptions {
  readonly limits?: UdpLimits;
  readonly wrapHost?: (host: MemoryHost) => Host;
  readonly target?: (port: number) => Target | undefined;
}

/** Udp on an in-memory host, one guest, and a record of all that reaches it. */
export function udpBench(options: BenchOptions = {}) {
  const arena = new PlainArena(8 * 2 ** 20);
  const turn = new Turn(0);
  const counters = new Counters();
  const memory = new MemoryHost(arena);
  const delivered: Delivered[] = [];
  const reported: Reported[] = [];
  const pathMtus: { source: number; destination: number; mtu: number }[] = [];
  const serviceCalls: { service: string; text: string; guestPort: number }[] = [];
  const text = (at: number, length: number): string =>
    new TextDecoder('latin1').decode(arena.bytes.slice(at, at + length));
  const keep = (at: number, source: number, length: number, needsChecksum: boolean, tos: number): void => {
    const udp = new UdpHeader();
    if (parseUdp(arena.bytes, at, at + length, udp) !== undefined)
      throw new Error('a malformed datagram was delivered');
    const sum = arena.sum(at, length, pseudoHeaderSum(source, GUEST, 17, length));
    delivered.push({
      source,
      sourcePort: udp.sourcePort,
      port: udp.destinationPort,
      text: text(at + 8, length - 8),
      length: length - 8,
      checksum: sum,
      needsChecksum,
      tos,
    });
  };
  const outlet = new SlotOutlet(arena.allocate(2048), (frame) =>
    keep(
      frame.at + 34,
      arena.view.getUint32(frame.at + 26),
      frame.length - 34,
      frame.needsChecksum,
      arena.bytes[frame.at + 15]!,
    ),
  );
  const names = { name: 'test', attachment: 'test' };
  const port = {
    id: 1,
    ...names,
    outlet,
    heard: true,
    attached: true,
    rxFrames: 0,
    rxBytes: 0,
    txFrames: 0,
    txBytes: 0,
  };
  const neighbor = new Neighbor(GUEST, 0x020000000003, { ...port, receive: () => {} } as Port, 0);
  let identification = 0;
  const udp = new Udp({
    arena,
    turn,
    counters,
    host: options.wrapHost?.(memory) ?? memory,
    output: {
      gatewayMac: 0x020000000001,
      nextIdentification: () => identification++,
      send: (_neighbor, { source, at, length, tos }) => {
        keep(at, source, length, false, tos);
        return true;
      },
    },
    errors: {
      about: (_packet, type, code, source, mtu) => void reported.push({ type, code, source, mtu, quoted: undefined }),
      aboutQuoted: (_neighbor, quoted, { type, code }, source, mtu) =>
        void reported.push({ type, code, source, mtu, quoted }),
      pathMtu: (_neighbor, source, destination, mtu) => void pathMtus.push({ source, destination, mtu }),
    },
    services: {
      datagram: (service, { guestPort }, at, length) =>
        void serviceCalls.push({ service, guestPort, text: text(at, length) }),
    },
    decide: (protocol, destination, destinationPort) =>
      options.target?.(destinationPort) ??
      decide(
        {
          gatewayAddress: GATEWAY,
          hostAddress: HOST_ADDRESS,
          hostLoopback: true,
          own: new OwnListeners(),
          services: new Map([['udp:53', 'dns']]),
        },
        protocol,
        destination,
        destinationPort,
      ),
    neighborOf: (address) => (address === GUEST ? neighbor : undefined),
    gatewayAddress: GATEWAY,
    broadcastAddress: 0xc0a841ff,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });

  /** The guest sends `content`; it leaves with the next turn. */
  const send = (
    sourcePort: number,
    destination: number,
    destinationPort: number,
    content: string | Uint8Array,
    facts: {
      ttl?: number;
      dontFragment?: boolean;
      probesPath?: boolean;
      tos?: number;
      frame?: Partial<Frame>;
      badChecksum?: boolean;
      /** Another guest; the bench's own unless told. */
      guest?: Neighbor;
    } = {},
  ): void => {
    const payload = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    const at = arena.allocate(payload.length + 8);
    if (at < 0) throw new Error('the test arena is full');
    const length = payload.length + 8;
    arena.bytes.set(payload, at + 8);
    writeUdp(arena.bytes, at, sourcePort, destinationPort, length);
    const guest = facts.guest ?? neighbor;
    const sum = foldedComplement(arena.sum(at, length, pseudoHeaderSum(guest.address, destination, 17, length)));
    arena.view.setUint16(at + 6, facts.badChecksum ? sum ^ 1 : sum || 0xffff);
    const packet: Packet = {
      frame: Object.assign(new Frame(), facts.frame),
      neighbor: guest,
      headerAt: at - 20,
      payloadAt: at,
      payloadEnd: at + length,
      source: guest.address,
      destination,
      protocol: 17,
      ttl: facts.ttl ?? 64,
      dontFragment: facts.dontFragment ?? false,
      probesPath: facts.probesPath ?? false,
      tos: facts.tos ?? 0,
    };
    udp.receive(packet);
  };
  /** A guest behind a port of its own, whose frames nobody looks at. */
  const addGuest = (address: number, mac: number): Neighbor => {
    const place = { ...neighbor.port, outlet: new SlotOutlet(arena.allocate(2048), () => {}) };
    return new Neighbor(address, mac, place as Port, 0);
  };
  let nowMs = 0;
  /** Turns and deliveries until all is quiet, after `ms` more milliseconds. */
  const settle = (ms = 0): void => {
    nowMs += ms;
    for (let i = 0; i < 100; i++) {
      turn.run(nowMs);
      if (memory.deliver() === 0 && turn.waitMs(1000) !== 0) return;
    }
    throw new Error('the bench never comes to rest');
  };
  return {
    arena,
    turn,
    counters,
    memory,
    udp,
    outlet,
    neighbor,
    delivered,
    reported,
    pathMtus,
    serviceCalls,
    send,
    addGuest,
    settle,
  };
}

/** The host with its methods as properties, to replace some. */
export function hostOf(memory: Host): Host {
  return {
    capabilities: memory.capabilities,
    dial: (...rest) => memory.dial(...rest),
    dialService: (...rest) => memory.dialService(...rest),
    openDatagram: (handler) => memory.openDatagram(handler),
    openEcho: (handler) => memory.openEcho(handler),
  };
}
