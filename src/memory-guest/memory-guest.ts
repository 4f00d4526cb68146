/**
 * A guest without a kernel, where no network namespace can be made: its TCP/IP stack is our own core turned round, in
 * this process, on a stream that speaks QEMU's framing. To the network it is a guest like any other.
 *
 * What is the gateway's side in the core is the guest's own here: the interface answers ARP for the guest's address,
 * TCP opens actively towards the network. It has no address until `configure`, sends through one router, and asks each
 * next hop's MAC once (the stream loses nothing). It answers no pings and no connections, and sends no ICMP errors.
 *
 * It shows that the network works, not that a Linux guest does: both ends of TCP are the same code.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { AttachmentSpace, DEFAULT_ATTACHMENT_LIMITS } from '../attachment/attachment-space.ts';
import { QEMU_UNIX } from '../attachment/kinds/qemu-unix.ts';
import { QemuStreamAttachment } from '../attachment/qemu-stream.ts';
import { Counters } from '../env/counters.ts';
import type { Log } from '../env/log.ts';
import type { Random } from '../env/random.ts';
import { WasmArena } from '../host/memory/arena.ts';
import { MemoryHost } from '../host/memory/memory-host.ts';
import { NodeLoop } from '../host/node/loop.ts';
import { NodePipe } from '../host/node/node-pipe.ts';
import { ArpOutput } from '../ip/arp-output.ts';
import type { IcmpErrors } from '../ip/icmp-errors.ts';
import { Interface } from '../ip/interface.ts';
import { Ipv4Sender } from '../ip/ipv4-sender.ts';
import { Neighbor } from '../ip/neighbor.ts';
import type { Port } from '../link/port.ts';
import { Switch } from '../link/switch.ts';
import { Tcp } from '../tcp/tcp.ts';
import { Turn } from '../turn/turn.ts';
import { ARP_REQUEST } from '../wire/arp.ts';
import { cidrOf } from '../wire/cidr.ts';
import { BROADCAST_MAC } from '../wire/ethernet.ts';
import { PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/ipv4.ts';
import { GuestEcho } from './guest-echo.ts';
import { GuestSocket } from './guest-socket.ts';
import { type GuestDatagrams, GuestUdp } from './guest-udp.ts';

/** Receive area, outbox, reassembly, the TCP windows; touched only as used. */
const ARENA_BYTES = 64 * 2 ** 20;
const WINDOW_BYTES = 16 * 2 ** 20;
/** A handful of connections at a time is what a checklist needs. */
const FLOWS = 64;
const FIRST_PORT = 49_152;
const PORTS = 16_384;

export interface MemoryGuestOptions {
  /** 48-bit number. */
  readonly mac: number;
  readonly mtu: number;
}

/** The guest's end of an error that nobody reads. */
const NO_ERRORS: IcmpErrors = { about: () => {}, aboutQuoted: () => {}, pathMtu: () => {} };
const SILENT: Log = { info: () => {}, warn: () => {} };
const RANDOM: Random = { u32: () => randomBytes(4).readUInt32BE() };

export class MemoryGuest {
  readonly #arena = new WasmArena(ARENA_BYTES);
  readonly #turn = new Turn(performance.now());
  readonly #counters = new Counters();
  readonly #mac: number;
  readonly #socket: Socket;
  readonly #loop: NodeLoop;
  readonly #streams: MemoryHost;
  readonly #interface: Interface;
  readonly #port: Port;
  readonly #tcp: Tcp;
  readonly #udp: GuestUdp;
  readonly #echo: GuestEcho;
  readonly #waiting = new Set<() => boolean>();
  #address = 0;
  #mask = 0;
  #router = 0;
  #nextPort = RANDOM.u32() % PORTS;

  /** Plugs in at the `qemu+unix` attachment that listens at `path`. Rejects with the error of the connection. */
  static async attach(path: string, options: MemoryGuestOptions): Promise<MemoryGuest> {
    const socket = connect({ path, allowHalfOpen: true });
    await once(socket, 'connect');
    return new MemoryGuest(socket, options);
  }

  /** `socket`: connected to the network, with frames in QEMU's framing. */
  constructor(socket: Socket, { mac, mtu }: MemoryGuestOptions) {
    const wiring = { arena: this.#arena, turn: this.#turn, counters: this.#counters, log: SILENT, random: RANDOM };
    const output = new Ipv4Sender({ ...wiring, gatewayMac: mac });
    this.#mac = mac;
    this.#socket = socket;
    this.#loop = new NodeLoop({ clock: { nowMs: () => performance.now() } });
    this.#streams = new MemoryHost(this.#arena);
    this.#streams.deliveries.onQueued = () => this.#loop.wake();
    // Whoever speaks is believed, and no address is ours before `configure`.
    const everywhere = cidrOf(0, 0);
    this.#interface = new Interface({
      ...wiring,
      subnet: everywhere,
      gatewayAddress: 0,
      hostAddress: 0,
      gatewayMac: mac,
      errors: NO_ERRORS,
    });
    this.#tcp = new Tcp({
      ...wiring,
      host: this.#streams,
      icmpErrors: NO_ERRORS,
      gatewayMac: mac,
      limits: { flows: FLOWS, dialsInFlight: FLOWS, windowBytes: WINDOW_BYTES },
      decide: () => ({ kind: 'refuse', reason: 'nobody-listens' }),
    });
    this.#port = this.#plugIn(mtu);
    this.#udp = new GuestUdp(this.#arena, this.#counters, output, this.#port);
    this.#echo = new GuestEcho(this.#arena, output);
    this.#interface.register(PROTOCOL_TCP, this.#tcp);
    this.#interface.register(PROTOCOL_UDP, this.#udp);
    this.#interface.register(PROTOCOL_ICMP, this.#echo);
    this.#loop.start({
      run: (nowMs) => this.#run(nowMs),
      waitMs: (limitMs) => (this.#streams.deliveries.pending > 0 ? 0 : this.#turn.waitMs(limitMs)),
    });
  }

  /** What the lease says; all numbers. From now on the guest has this address. */
  configure(address: number, mask: number, router: number): void {
    this.#address = address;
    this.#mask = mask;
    this.#router = router;
    this.#interface.own.add(address);
  }

  /** A UDP socket; `port` 0 for any. Without an address of its own it reaches only the broadcast address. */
  datagrams(port: number): GuestDatagrams {
    const local = port === 0 ? this.#freePort() : port;
    this.#interface.acceptBroadcast(local);
    return this.#udp.open(local, {
      source: () => this.#address,
      neighbor: (address) => this.#neighborOf(address),
      sent: () => this.#loop.wake(),
    });
  }

  /** A TCP connection: emits 'connect', or 'error' with the code ECONNREFUSED or ETIMEDOUT. */
  connect(address: number, port: number): Duplex {
    const socket = new GuestSocket();
    this.#open(socket, address, port).catch((error: Error) => socket.destroy(error));
    return socket;
  }

  /** One echo request; the round trip in ms. */
  async ping(address: number): Promise<number> {
    const neighbor = await this.#neighborOf(address);
    const begun = performance.now();
    const answered = this.#echo.ask(neighbor, this.#address, RANDOM.u32() & 0xffff);
    this.#loop.wake();
    await this.#until(answered);
    return performance.now() - begun;
  }

  /** Pulls the plug. */
  close(): void {
    this.#loop.stop();
    this.#socket.destroy();
  }

  /** The port that leads to the network. */
  #plugIn(mtu: number): Port {
    const parts = { arena: this.#arena, turn: this.#turn, counters: this.#counters, log: SILENT };
    const limits = { ...DEFAULT_ATTACHMENT_LIMITS, guests: 1 };
    const space = new AttachmentSpace(parts.arena, parts.turn, parts.counters, parts.log, limits);
    const options = { ...QEMU_UNIX, name: 'network', mtu, onDetach: () => this.#loop.stop() };
    const attachment = QemuStreamAttachment.make(space, options);
    if (attachment === undefined) throw new RangeError('the arena has no room for an attachment');
    const plug = new Switch({ ...parts, gatewayMac: this.#mac, uplink: this.#interface });
    const port = plug.attach(attachment.outlet, 'network');
    const wake = (): void => this.#loop.wake();
    const pipe = new NodePipe(this.#arena.bytes, this.#socket, wake, () => {});
    pipe.attach(attachment);
    attachment.start(pipe, port);
    return port;
  }

  #run(nowMs: number): void {
    this.#streams.deliver();
    this.#turn.run(nowMs);
    for (const done of this.#waiting) if (done()) this.#waiting.delete(done);
  }

  /** Looks after every turn. */
  #until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.add(() => {
        if (!condition()) return false;
        resolve();
        return true;
      });
    });
  }

  /** The next hop towards `address`, asked for by ARP the first time. */
  async #neighborOf(address: number): Promise<Neighbor> {
    const onLink = ((address ^ this.#address) & this.#mask) === 0;
    const hop = onLink ? address : this.#router;
    const find = (): Neighbor | undefined => this.#interface.neighbors.find(hop);
    if (find() === undefined) {
      this.#askFor(hop);
      await this.#until(() => find() !== undefined);
    }
    const { mac, port, seenMs } = find() as Neighbor;
    return new Neighbor(address, mac, port, seenMs);
  }

  #askFor(address: number): void {
    const output = new ArpOutput(this.#arena, this.#mac);
    output.packet.operation = ARP_REQUEST;
    output.packet.senderAddress = this.#address;
    output.packet.targetAddress = address;
    if (!output.send(this.#port.outlet, BROADCAST_MAC)) return;
    this.#loop.wake();
  }

  async #open(socket: GuestSocket, address: number, port: number): Promise<void> {
    const neighbor = await this.#neighborOf(address);
    const local = this.#freePort();
    const refusals = this.#counters.get('tcp-refused-by-guest');
    const stream = socket.join(this.#arena.bytes, this.#streams.deliveries);
    const ends = { neighbor, guestPort: port, remoteAddress: this.#address, remotePort: local };
    socket.flow = this.#tcp.open(ends, stream);
    this.#loop.wake();
    const state = (): string | undefined => this.#tcp.list(FLOWS).find((flow) => flow.remotePort === local)?.state;
    await this.#until(() => state() !== 'SYN-SENT');
    if (state() !== undefined) socket.emit('connect');
    else socket.fail(this.#counters.get('tcp-refused-by-guest') > refusals ? 'ECONNREFUSED' : 'ETIMEDOUT');
  }

  #freePort(): number {
    this.#nextPort = (this.#nextPort + 1) % PORTS;
    return FIRST_PORT + this.#nextPort;
  }
}
