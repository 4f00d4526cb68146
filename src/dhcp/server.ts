import type { Counters } from '../env/counters.ts';
import { Timer } from '../turn/timers.ts';
import type { Turn } from '../turn/turn.ts';
import {
  BOOT_REQUEST,
  DHCP_ACK,
  DHCP_DECLINE,
  DHCP_DISCOVER,
  DHCP_INFORM,
  DHCP_NAK,
  DHCP_OFFER,
  DHCP_RELEASE,
  DHCP_REQUEST,
  DhcpMessage,
  OPTION_MESSAGE_TYPE,
  parseDhcp,
} from '../wire/dhcpv4.ts';
import { isMulticastMac } from '../wire/ethernet.ts';
import { AddressChoice, type Heard, type LinkView } from './address-choice.ts';
import { type AddressProber, ConflictProbes } from './conflict-probes.ts';
import { type DhcpOptions, MIN_LEASE_SECONDS } from './dhcp-options.ts';
import { type DhcpOrigin, type DhcpRequest, requestOf } from './dhcp-request.ts';
import type { LeaseRecord } from './lease-record.ts';
import type { LeaseTable } from './lease-table.ts';
import { type Decision, type DhcpReply, INFINITE_SECONDS, replyTo } from './reply.ts';

/** RFC 1542 §4.1.1 */
const MAX_HOPS = 16;
/** Addresses that are looked at for one DISCOVER while each turns out to be someone's. The client asks again. */
const MAX_TRIES = 4;

export interface DhcpServerWiring<Origin extends DhcpOrigin> {
  readonly turn: Turn;
  readonly counters: Counters;
  readonly serverAddress: number;
  readonly options: DhcpOptions;
  readonly leases: LeaseTable;
  readonly link: LinkView;
  readonly prober: AddressProber;
  readonly send: (reply: DhcpReply, origin: Origin) => void;
}

/**
 * The DHCP server (RFC 2131 §4.3) as a state machine: messages go in with the place where they came from, answers come
 * out as values by `send`, at once or after the address was asked for on the link. It does no input or output; its
 * timers are the turn's. Who has which address is in the LeaseTable, who gets which in AddressChoice.
 *
 * It is the only server of its network and so authoritative: a client that asks for an address it cannot have gets a
 * NAK at once (INIT-REBOOT of an unknown client included, where the RFC's many servers keep silent), one that comes
 * back with a free address after Slipway lost its memory gets it. Relays of our own subnet are served. Left out: BOOTP,
 * rapid commit, lease queries, FORCERENEW, authentication, and relays of subnets that are not ours.
 */
export class DhcpServer<Origin extends DhcpOrigin> {
  readonly #wiring: DhcpServerWiring<Origin>;
  readonly #choice: AddressChoice;
  readonly #probes: ConflictProbes<DhcpRequest<Origin>>;
  readonly #message = new DhcpMessage();
  readonly #expiry = new Timer(() => this.#expire());
  readonly #leaseSeconds: number;

  constructor(wiring: DhcpServerWiring<Origin>) {
    const { options, leases } = wiring;
    this.#wiring = wiring;
    this.#leaseSeconds = Math.max(MIN_LEASE_SECONDS, Math.min(options.leaseSeconds, INFINITE_SECONDS));
    this.#probes = new ConflictProbes({
      ...wiring,
      onVerdict: (request, address, tries, other) => this.#verdict(request, address, tries, other),
    });
    this.#choice = new AddressChoice({
      ...wiring,
      table: leases,
      leasesPerGuest: options.leasesPerGuest,
      probe: options.probe,
      isBusy: (address) => this.#probes.isBusy(address),
    });
  }

  /** Addresses that are being asked for now. */
  get probing(): number {
    return this.#probes.size;
  }

  /** Answers the message at [at, at + length) of `bytes`; keeps none of them. Never throws on guest bytes. */
  receive(bytes: Uint8Array, at: number, length: number, origin: Origin): void {
    const { leases, turn, counters } = this.#wiring;
    const message = this.#message;
    const fault = parseDhcp(bytes, at, at + length, message) ?? this.#faultOf(message);
    if (fault !== undefined) {
      counters.add(fault);
      return;
    }
    const request = requestOf(message, origin);
    if (request === undefined) {
      counters.add('dhcp-identifier-too-long');
      return;
    }
    leases.expire(turn.nowMs);
    this.#handle(request);
    this.#armExpiry();
  }

  /** Takes up leases of an earlier run, which are counted on from `nowMs`. */
  restore(records: readonly LeaseRecord[], nowMs: number): void {
    const { leases, counters } = this.#wiring;
    for (const record of records) if (!leases.restore(record, nowMs)) counters.add('dhcp-lease-not-restored');
    this.#armExpiry();
  }

  /** Ends probes and timers; nothing is sent any more. */
  close(): void {
    this.#wiring.turn.timers.cancel(this.#expiry);
    this.#probes.close();
  }

  #faultOf(message: DhcpMessage): string | undefined {
    const { giaddr, chaddr } = message;
    const { pool } = this.#wiring.leases;
    if (message.operation !== BOOT_REQUEST) return 'dhcp-not-a-request';
    if (!message.options.has(OPTION_MESSAGE_TYPE)) return 'dhcp-bootp';
    if (chaddr === 0 || isMulticastMac(chaddr)) return 'dhcp-bad-mac';
    if (message.hops > MAX_HOPS) return 'dhcp-too-many-hops';
    if (giaddr !== 0 && !(pool.onLink(giaddr) && pool.assignable(giaddr))) return 'dhcp-relay-of-another-subnet';
    return undefined;
  }

  #handle(request: DhcpRequest<Origin>): void {
    const { counters, leases, turn } = this.#wiring;
    const { messageType } = request;
    if (messageType === DHCP_DISCOVER || messageType === DHCP_REQUEST) {
      this.#choice.recogniseCard(request.client, turn.nowMs);
    }
    const own = leases.find(request.client);
    if (own !== undefined) this.#probes.giveWay(request.client, own.address);
    switch (messageType) {
      case DHCP_DISCOVER:
        this.#discover(request);
        return;
      case DHCP_REQUEST:
        this.#request(request);
        return;
      case DHCP_DECLINE:
        this.#decline(request);
        return;
      case DHCP_RELEASE:
        this.#release(request);
        return;
      case DHCP_INFORM:
        // RFC 2131 §4.3.5: neither lease nor address, and to nobody outside.
        if (leases.pool.assignable(request.ciaddr)) this.#reply(request, { messageType: DHCP_ACK });
        else counters.add('dhcp-inform-without-address');
        return;
      default:
        counters.add('dhcp-bad-message-type');
    }
  }

  /** RFC 2131 §4.3.1. */
  #discover(request: DhcpRequest<Origin>): void {
    if (this.#probes.addressFor(request.client) === undefined) this.#choose(request, MAX_TRIES);
    else this.#probes.follow(request.client, request);
  }

  #choose(request: DhcpRequest<Origin>, tries: number): void {
    const { turn, counters } = this.#wiring;
    const { client } = request;
    const address = this.#choice.choose(client, request.requestedAddress, turn.nowMs);
    if (address === undefined) counters.add('dhcp-pool-exhausted');
    else if (!this.#choice.needsProbe(client, address)) this.#offer(request, address);
    else this.#probes.start(client, address, tries, request);
  }

  #offer(request: DhcpRequest<Origin>, address: number): void {
    const { leases, turn } = this.#wiring;
    const lease = leases.offer(request.client, address, turn.nowMs);
    this.#reply(request, { messageType: DHCP_OFFER, yiaddr: lease.address, leaseSeconds: this.#secondsFor(request) });
  }

  /** RFC 2131 §4.3.2: which of a client's four states it asks in shows in what it fills in. */
  #request(request: DhcpRequest<Origin>): void {
    const { counters, serverAddress, leases, turn } = this.#wiring;
    const { client, ciaddr, serverIdentifier, requestedAddress } = request;
    if (serverIdentifier !== undefined && serverIdentifier !== serverAddress) {
      // SELECTING, and it took another server's offer: ours is free again.
      const offered = leases.find(client);
      if (offered?.state === 'offered') leases.release(client, offered.address, turn.nowMs);
      this.#probes.cancel(client);
      return;
    }
    // SELECTING and INIT-REBOOT name the address in option 50, RENEWING and REBINDING in ciaddr.
    const renewing = serverIdentifier === undefined && ciaddr !== 0;
    const address = renewing ? ciaddr : (requestedAddress ?? ciaddr);
    if (address === 0) {
      counters.add('dhcp-request-without-address');
      return;
    }
    if (!this.#mayHave(request, address)) return;
    if (!this.#choice.needsProbe(client, address)) this.#bind(request, address);
    else if (this.#probes.addressFor(client) === address) this.#probes.follow(client, request);
    else this.#probes.start(client, address, 1, request);
  }

  /** False, and a NAK is sent, when the client cannot have that address. */
  #mayHave(request: DhcpRequest<Origin>, address: number): boolean {
    const { leases, turn } = this.#wiring;
    const { client } = request;
    if (!leases.pool.onLink(address)) {
      this.#refuse(request, 'the address is of another network');
      return false;
    }
    const busy = this.#probes.isBusy(address) && this.#probes.addressFor(client) !== address;
    if (!busy && this.#choice.mayHave(client, address, turn.nowMs)) return true;
    this.#refuse(request, 'the address is not free for this client');
    return false;
  }

  #bind(request: DhcpRequest<Origin>, address: number): void {
    const { leases, turn } = this.#wiring;
    const { client } = request;
    this.#probes.cancel(client);
    const leaseSeconds = this.#secondsFor(request);
    const leaseMs = leaseSeconds === INFINITE_SECONDS ? Number.POSITIVE_INFINITY : leaseSeconds * 1000;
    // Not every client repeats its name when it renews.
    const said = request.hostName || (leases.find(client)?.hostName ?? '');
    const hostName = leases.reservations.of(client)?.name ?? said;
    leases.bind(client, address, leaseMs, hostName, turn.nowMs);
    this.#reply(request, { messageType: DHCP_ACK, yiaddr: address, leaseSeconds });
  }

  /** RFC 2131 §4.3.4 */
  #release(request: DhcpRequest<Origin>): void {
    const { leases, turn, counters } = this.#wiring;
    const released = this.#meantForUs(request) && leases.release(request.client, request.ciaddr, turn.nowMs);
    counters.add(released ? 'dhcp-released' : 'dhcp-release-ignored');
  }

  /**
   * RFC 2131 §4.3.3: the client found someone there whom it did not name. It has no address then, so what comes from
   * one is another program's: a container behind the guest's own address could take it from the guest.
   */
  #decline(request: DhcpRequest<Origin>): void {
    const { leases, turn, counters } = this.#wiring;
    const { client, requestedAddress, giaddr, origin } = request;
    const lease = leases.find(client);
    const itself = giaddr !== 0 || origin.source === 0;
    if (!itself || !this.#meantForUs(request) || lease === undefined || lease.address !== requestedAddress) {
      counters.add('dhcp-decline-ignored');
      return;
    }
    counters.add('dhcp-declined');
    leases.release(client, lease.address, turn.nowMs);
    this.#choice.believe(lease.address, { mac: 0, port: { id: client.place } }, turn.nowMs);
  }

  /** Whether someone else has the address is known now. */
  #verdict(request: DhcpRequest<Origin>, address: number, tries: number, other: Heard | undefined): void {
    const { leases, turn, counters } = this.#wiring;
    leases.expire(turn.nowMs);
    const taken = other !== undefined && this.#choice.believe(address, other, turn.nowMs);
    if (taken) counters.add('dhcp-probe-conflict');
    if (request.messageType === DHCP_REQUEST) {
      if (taken) this.#refuse(request, 'the address is in use');
      else if (this.#mayHave(request, address)) this.#bind(request, address);
    } else if (!taken) {
      if (this.#choice.isOpen(request.client, address)) this.#offer(request, address);
    } else if (tries > 1) {
      this.#choose(request, tries - 1);
    } else {
      counters.add('dhcp-probe-gave-up');
    }
    this.#armExpiry();
  }

  /** What the client asks for within what we give (RFC 2131 §4.3.1). */
  #secondsFor(request: DhcpRequest): number {
    const { leaseSeconds = this.#leaseSeconds } = request;
    return Math.min(this.#leaseSeconds, Math.max(MIN_LEASE_SECONDS, leaseSeconds));
  }

  #meantForUs(request: DhcpRequest): boolean {
    const { serverIdentifier } = request;
    return serverIdentifier === undefined || serverIdentifier === this.#wiring.serverAddress;
  }

  #refuse(request: DhcpRequest<Origin>, problem: string): void {
    this.#wiring.counters.add('dhcp-nak');
    this.#probes.cancel(request.client);
    this.#reply(request, { messageType: DHCP_NAK, problem });
  }

  #reply(request: DhcpRequest<Origin>, decision: Decision): void {
    const hostName = this.#wiring.leases.reservations.of(request.client)?.name ?? '';
    this.#wiring.send(replyTo(request, { ...decision, hostName }), request.origin);
  }

  #expire(): void {
    const { leases, turn } = this.#wiring;
    leases.expire(turn.nowMs);
    this.#armExpiry();
  }

  #armExpiry(): void {
    const { leases, turn } = this.#wiring;
    const { nextEndMs } = leases;
    if (nextEndMs === Number.POSITIVE_INFINITY) turn.timers.cancel(this.#expiry);
    else turn.timers.arm(this.#expiry, nextEndMs - turn.nowMs);
  }
}
