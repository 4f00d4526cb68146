import type { Heard } from '../../src/dhcp/address-choice.ts';
import { AddressPool } from '../../src/dhcp/address-pool.ts';
import { PROBE_MS } from '../../src/dhcp/conflict-probes.ts';
import { DEFAULT_DHCP, type DhcpOptions } from '../../src/dhcp/dhcp-options.ts';
import type { DhcpOrigin } from '../../src/dhcp/dhcp-request.ts';
import type { LeaseChange } from '../../src/dhcp/lease-record.ts';
import { LeaseTable } from '../../src/dhcp/lease-table.ts';
import type { DhcpReply } from '../../src/dhcp/reply.ts';
import { DHCP_REPLY_BYTES, ReplyWriter } from '../../src/dhcp/reply-writer.ts';
import { Reservations } from '../../src/dhcp/reservations.ts';
import { DhcpServer } from '../../src/dhcp/server.ts';
import { Counters } from '../../src/env/counters.ts';
import { Turn } from '../../src/turn/turn.ts';
import { cidrOf } from '../../src/wire/cidr.ts';
import { BOOT_REQUEST, DHCP_DISCOVER, DHCP_REQUEST, DhcpMessage, parseDhcp } from '../../src/wire/dhcpv4.ts';
import { DhcpWriter } from '../../src/wire/dhcpv4-writer.ts';

export const NETWORK = 0xc0a84100;
export const GATEWAY: number = NETWORK + 1;
export const HOST_ADDRESS: number = NETWORK + 254;
export const MAC = 0x020000000005;

export interface Asked {
  readonly type?: number;
  readonly mac?: number;
  readonly wanted?: number;
  readonly server?: number;
  readonly ciaddr?: number;
  readonly giaddr?: number;
  readonly hops?: number;
  readonly xid?: number;
  readonly broadcast?: boolean;
  readonly hostName?: string;
  readonly id?: Uint8Array;
  readonly leaseSeconds?: number;
  readonly list?: readonly number[];
  readonly maxBytes?: number;
  readonly relay?: Uint8Array;
  /** Port of the switch. */
  readonly place?: number;
  /** The packet's source; 0 unless told. */
  readonly source?: number;
}

/** A client's message. */
export function messageOf(asked: Asked): Uint8Array {
  const bytes = new Uint8Array(1472);
  const writer = new DhcpWriter(bytes);
  const { mac = MAC, ciaddr = 0, giaddr = 0, hops = 0, xid = 0x1234, broadcast = false } = asked;
  const none = { secs: 0, yiaddr: 0, siaddr: 0 };
  writer.start(0, 1472, { ...none, operation: BOOT_REQUEST, hops, xid, broadcast, ciaddr, giaddr, chaddr: mac });
  if (asked.type !== undefined) writer.putU8(53, asked.type);
  if (asked.wanted !== undefined) writer.putU32(50, asked.wanted);
  if (asked.server !== undefined) writer.putU32(54, asked.server);
  if (asked.hostName !== undefined) writer.putText(12, asked.hostName);
  if (asked.id !== undefined) writer.putBytes(61, asked.id);
  if (asked.leaseSeconds !== undefined) writer.putU32(51, asked.leaseSeconds);
  if (asked.list !== undefined) writer.putBytes(55, Uint8Array.from(asked.list));
  if (asked.maxBytes !== undefined) writer.putU16(57, asked.maxBytes);
  if (asked.relay !== undefined) writer.putBytes(82, asked.relay);
  return bytes.slice(0, writer.finish());
}

/** What a client reads in an answer. */
export interface Answer {
  readonly reply: DhcpReply;
  readonly bytes: Uint8Array;
  readonly message: DhcpMessage;
  /** Option codes in the order of the options field, then `file`, then `sname`. */
  readonly codes: number[];
}

/** The server on a link of the test's making; time by hand. */
export class DhcpBench {
  readonly counters: Counters = new Counters();
  readonly turn: Turn = new Turn(1_000_000);
  readonly changes: LeaseChange[] = [];
  readonly probed: number[] = [];
  readonly heard: Map<number, Heard> = new Map<number, Heard>();
  /** Who answers a probe: address → MAC and port. */
  readonly stations: Map<number, { mac: number; port: { id: number } }> = new Map();
  readonly own: Set<number> = new Set([GATEWAY, HOST_ADDRESS]);
  readonly leases: LeaseTable;
  readonly server: DhcpServer<DhcpOrigin>;
  readonly writer: ReplyWriter;
  others = true;
  mtu = 1500;
  #answers: Answer[] = [];

  /** Without a probe unless `options` say so. */
  constructor(options: Partial<DhcpOptions> = {}, prefix = 24) {
    const dhcp: DhcpOptions = { ...DEFAULT_DHCP, leaseSeconds: 3600, probe: false, ...options };
    const subnet = cidrOf(NETWORK, prefix);
    const excluded = dhcp.range === undefined ? [NETWORK + 2] : [];
    const isOwn = (address: number): boolean => this.own.has(address);
    const pool = new AddressPool({ subnet, range: dhcp.range, excluded, isOwn });
    this.leases = new LeaseTable(pool, new Reservations(dhcp.reservations), (change) => void this.changes.push(change));
    this.writer = new ReplyWriter({ subnet, gateway: GATEWAY }, dhcp, this.counters);
    this.server = new DhcpServer({
      turn: this.turn,
      counters: this.counters,
      serverAddress: GATEWAY,
      options: dhcp,
      leases: this.leases,
      link: { heardAt: (address) => this.heard.get(address), hasOthers: () => this.others },
      prober: { probe: (address) => this.#probe(address) },
      send: (reply) => this.#send(reply),
    });
  }

  get nowMs(): number {
    return this.turn.nowMs;
  }

  /** Hands the server a message; the answer when it comes at once. */
  ask(asked: Asked): Answer | undefined {
    return this.askBytes(messageOf(asked), {
      place: asked.place ?? 1,
      mac: asked.mac ?? MAC,
      source: asked.source ?? 0,
    });
  }

  askBytes(bytes: Uint8Array, origin: DhcpOrigin = { place: 1, mac: MAC, source: 0 }): Answer | undefined {
    this.server.receive(bytes, 0, bytes.length, origin);
    return this.#answers.pop();
  }

  /** What came since, oldest first. */
  take(): Answer[] {
    return this.#answers.splice(0);
  }

  advance(ms: number): void {
    const until = this.turn.nowMs + ms;
    while (this.turn.nowMs < until) {
      const step = Math.min(until - this.turn.nowMs, Math.max(1, this.turn.timers.waitMs(60_000)));
      this.turn.run(this.turn.nowMs + step);
    }
  }

  /** DISCOVER to ACK, probes included; the address, or undefined when there is none. */
  join(asked: Asked): number | undefined {
    const offer = this.#settled(this.ask({ ...asked, type: DHCP_DISCOVER }));
    if (offer === undefined) return undefined;
    const wanted = offer.reply.yiaddr;
    const ack = this.#settled(this.ask({ ...asked, type: DHCP_REQUEST, wanted, server: GATEWAY }));
    return ack?.reply.yiaddr === 0 ? undefined : ack?.reply.yiaddr;
  }

  #settled(answer: Answer | undefined): Answer | undefined {
    for (let i = 0; answer === undefined && this.server.probing > 0 && i < 5; i++) {
      this.advance(PROBE_MS + 4);
      answer = this.take().at(-1);
    }
    return answer;
  }

  #probe(address: number): void {
    this.probed.push(address);
    const station = this.stations.get(address);
    if (station !== undefined) this.heard.set(address, { ...station, seenMs: this.turn.nowMs });
  }

  #send(reply: DhcpReply): void {
    const bytes = new Uint8Array(DHCP_REPLY_BYTES);
    const length = this.writer.write(bytes, 0, reply, this.mtu);
    const message = new DhcpMessage();
    const sent = bytes.slice(0, length);
    const fault = parseDhcp(sent, 0, length, message);
    if (fault !== undefined) throw new Error(`the server wrote ${fault}`);
    const { options } = message;
    this.#answers.push({ reply, bytes: sent, message, codes: [...options.code.subarray(0, options.count)] });
  }
}
