import type { Counters } from '../env/counters.ts';
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
  parseDhcp,
} from '../wire/dhcpv4.ts';
import { BROADCAST_MAC, isMulticastMac } from '../wire/ethernet.ts';
import { IPV4_BROADCAST } from '../wire/ipv4.ts';
import { clientKey, type DhcpClient, type LeaseTable } from './lease-table.ts';
import type { DhcpParameters, DhcpReply } from './reply.ts';

/** A DNS label's length; longer names are not kept. */
const MAX_HOST_NAME = 63;

/**
 * The DHCP server (RFC 2131 §4.3) as a function: a message and the time go in, the answer comes out as a value, or none;
 * what is remembered is in the LeaseTable. It does no input or output and keeps no timers.
 *
 * It is the only server of its network and so authoritative: a client that asks for an address it cannot have gets a NAK at
 * once, one that comes back with a free address (after a restart of Slipway) gets it. Left out: relays, BOOTP, rapid
 * commit, and options of the client's choice.
 */
export class DhcpServer {
  readonly leases: LeaseTable;
  readonly #parameters: DhcpParameters;
  readonly #counters: Counters;
  readonly #message = new DhcpMessage();

  constructor(parameters: DhcpParameters, leases: LeaseTable, counters: Counters) {
    this.#parameters = parameters;
    this.leases = leases;
    this.#counters = counters;
  }

  /** Answers the message at [at, at + length) of `bytes`; keeps none of them. Never throws on guest bytes. */
  handle(bytes: Uint8Array, at: number, length: number, nowMs: number): DhcpReply | undefined {
    const message = this.#message;
    const fault = parseDhcp(bytes, at, at + length, message);
    if (fault !== undefined) return this.#refuse(fault);
    if (message.operation !== BOOT_REQUEST) return this.#refuse('dhcp-not-a-request');
    if (message.giaddr !== 0) return this.#refuse('dhcp-relayed');
    if (message.chaddr === 0 || isMulticastMac(message.chaddr)) return this.#refuse('dhcp-bad-mac');
    const client = { key: clientKey(message.clientIdentifier, message.chaddr), mac: message.chaddr };
    switch (message.messageType) {
      case DHCP_DISCOVER:
        return this.#discover(message, client, nowMs);
      case DHCP_REQUEST:
        return this.#request(message, client, nowMs);
      case DHCP_DECLINE:
        this.#counters.add('dhcp-declined');
        if (this.#meantForUs(message)) this.leases.decline(client, message.requestedAddress ?? 0, nowMs);
        return undefined;
      case DHCP_RELEASE:
        if (this.#meantForUs(message)) this.leases.release(client, message.ciaddr);
        return undefined;
      case DHCP_INFORM:
        return this.#reply(message, DHCP_ACK, 0);
      default:
        return this.#refuse('dhcp-bad-message-type');
    }
  }

  #discover(message: DhcpMessage, client: DhcpClient, nowMs: number): DhcpReply | undefined {
    const lease = this.leases.offer(client, message.requestedAddress, nowMs);
    if (lease === undefined) return this.#refuse('dhcp-pool-exhausted');
    return this.#reply(message, DHCP_OFFER, lease.address);
  }

  /** RFC 2131 §4.3.2. */
  #request(message: DhcpMessage, client: DhcpClient, nowMs: number): DhcpReply | undefined {
    const server = message.serverIdentifier;
    if (server !== undefined && server !== this.#parameters.serverAddress) {
      // SELECTING, and it took another server's offer: ours is free again.
      const offered = this.leases.find(client);
      if (offered?.state === 'offered') this.leases.release(client, offered.address);
      return undefined;
    }
    // SELECTING and INIT-REBOOT name the address in option 50, RENEWING and REBINDING in ciaddr.
    const address = message.requestedAddress ?? message.ciaddr;
    const leaseMs = this.#parameters.leaseSeconds * 1000;
    const lease = this.leases.bind(client, address, leaseMs, hostNameOf(message), nowMs);
    if (lease !== undefined) return this.#reply(message, DHCP_ACK, lease.address);
    this.#counters.add('dhcp-nak');
    return this.#reply(message, DHCP_NAK, 0);
  }

  #meantForUs(message: DhcpMessage): boolean {
    const server = message.serverIdentifier;
    return server === undefined || server === this.#parameters.serverAddress;
  }

  /** Where it goes: RFC 2131 §4.1. */
  #reply(message: DhcpMessage, messageType: number, yiaddr: number): DhcpReply {
    const { ciaddr, broadcast, chaddr } = message;
    const toAll = messageType === DHCP_NAK || (ciaddr === 0 && (broadcast || yiaddr === 0));
    return {
      messageType,
      xid: message.xid,
      broadcast,
      ciaddr: messageType === DHCP_ACK ? ciaddr : 0,
      yiaddr,
      mac: chaddr,
      clientIdentifier: message.clientIdentifier,
      destinationAddress: toAll ? IPV4_BROADCAST : ciaddr === 0 ? yiaddr : ciaddr,
      destinationMac: toAll ? BROADCAST_MAC : chaddr,
    };
  }

  #refuse(counter: string): undefined {
    this.#counters.add(counter);
    return undefined;
  }
}

/** The client's name when it could stand in DNS, else ''. */
function hostNameOf(message: DhcpMessage): string {
  const name = message.hostName ?? '';
  return name.length <= MAX_HOST_NAME && /^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$/.test(name) ? name : '';
}
