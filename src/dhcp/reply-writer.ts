import type { Counters } from '../env/counters.ts';
import { writeLatin1, writeU32 } from '../wire/bytes.ts';
import { type Cidr, cidrOf } from '../wire/cidr.ts';
import {
  BOOT_REPLY,
  DHCP_DEFAULT_MAX_BYTES,
  DHCP_NAK,
  type DhcpFields,
  OPTION_BROADCAST_ADDRESS,
  OPTION_CLASSLESS_ROUTES,
  OPTION_CLIENT_IDENTIFIER,
  OPTION_DNS_SERVERS,
  OPTION_DOMAIN_NAME,
  OPTION_DOMAIN_SEARCH,
  OPTION_END,
  OPTION_HOST_NAME,
  OPTION_INTERFACE_MTU,
  OPTION_LEASE_SECONDS,
  OPTION_MAX_MESSAGE_BYTES,
  OPTION_MESSAGE,
  OPTION_MESSAGE_TYPE,
  OPTION_NTP_SERVERS,
  OPTION_OVERLOAD,
  OPTION_PAD,
  OPTION_PARAMETER_REQUEST_LIST,
  OPTION_REBINDING_SECONDS,
  OPTION_RELAY_AGENT,
  OPTION_RENEWAL_SECONDS,
  OPTION_REQUESTED_ADDRESS,
  OPTION_ROUTER,
  OPTION_SERVER_IDENTIFIER,
  OPTION_SUBNET_MASK,
} from '../wire/dhcpv4.ts';
import { encodeClasslessRoutes, encodeSearchList } from '../wire/dhcpv4-values.ts';
import { DhcpWriter } from '../wire/dhcpv4-writer.ts';
import type { DhcpOptions } from './dhcp-options.ts';
import { type DhcpReply, INFINITE_SECONDS } from './reply.ts';

/**
 * IP and UDP headers, which option 57 counts (RFC 2131 §2: 576 bytes are the smallest IP packet that everyone takes).
 */
const HEADER_BYTES = 28;
/** An Ethernet frame's worth, whatever MTU a guest has: no one has that much to say. */
const MAX_PACKET_BYTES = 1500;
/** What every client takes for the MTU when nothing is said (RFC 894). */
const ETHERNET_MTU = 1500;
/** The longest message that is written. */
export const DHCP_REPLY_BYTES: number = MAX_PACKET_BYTES - HEADER_BYTES;

/** What the protocol itself lives on: not for the configuration to change, nor for a client's list to ask for. */
const PROTOCOL_OPTIONS: ReadonlySet<number> = new Set([
  OPTION_PAD,
  OPTION_REQUESTED_ADDRESS,
  OPTION_LEASE_SECONDS,
  OPTION_OVERLOAD,
  OPTION_MESSAGE_TYPE,
  OPTION_SERVER_IDENTIFIER,
  OPTION_PARAMETER_REQUEST_LIST,
  OPTION_MESSAGE,
  OPTION_MAX_MESSAGE_BYTES,
  OPTION_RENEWAL_SECONDS,
  OPTION_REBINDING_SECONDS,
  OPTION_CLIENT_IDENTIFIER,
  OPTION_RELAY_AGENT,
  OPTION_END,
]);

/** The network that guests are told about. */
export interface DhcpNetwork {
  readonly subnet: Cidr;
  /** The router, the DNS server unless others are named, and the DHCP server itself. */
  readonly gateway: number;
}

/**
 * Writes answers as DHCP messages: first what the protocol needs, then what the client asked for in its order (option
 * 55; RFC 2132 §9.8), all that there is when it sent no list, the MTU in any case where it is not Ethernet's, and last
 * of all what a relay added. The mask is always sent and stands before the router (RFC 2132 §3.3), classless routes too
 * (RFC 3442). What the message has no room for, `file` and `sname` included, is left out from the end and counted.
 */
export class ReplyWriter {
  readonly #counters: Counters;
  readonly #serverAddress: number;
  /** Option → value, in the order for a client that sent no list. */
  readonly #values: ReadonlyMap<number, Uint8Array>;
  readonly #customMtu: boolean;

  /** Throws a RangeError when a search domain is no name (the configuration checks that). */
  constructor(network: DhcpNetwork, options: DhcpOptions, counters: Counters) {
    this.#counters = counters;
    this.#serverAddress = network.gateway;
    this.#customMtu = options.customOptions.some(({ code }) => code === OPTION_INTERFACE_MTU);
    this.#values = valuesOf(network, options);
  }

  /**
   * Writes `reply` at `at`, where DHCP_REPLY_BYTES are free, for a client behind an interface of `mtu` bytes; returns
   * the length.
   */
  write(bytes: Uint8Array, at: number, reply: DhcpReply, mtu: number): number {
    const { clientIdentifier, relayInformation, maxMessageBytes = 0 } = reply.request;
    const writer = new DhcpWriter(bytes);
    const largest = Math.min(maxMessageBytes, mtu, MAX_PACKET_BYTES) - HEADER_BYTES;
    const tailBytes = relayInformation === undefined ? 0 : relayInformation.length + 2;
    writer.start(at, Math.max(DHCP_DEFAULT_MAX_BYTES, largest), this.#fieldsOf(reply), tailBytes);
    this.#putProtocol(writer, reply);
    if (clientIdentifier !== undefined) this.#check(writer.putBytes(OPTION_CLIENT_IDENTIFIER, clientIdentifier));
    if (reply.messageType !== DHCP_NAK) this.#putParameters(writer, reply, mtu);
    if (relayInformation !== undefined) {
      writer.beginTail();
      writer.putBytes(OPTION_RELAY_AGENT, relayInformation);
    }
    return writer.finish();
  }

  #fieldsOf(reply: DhcpReply): DhcpFields {
    const { request } = reply;
    return {
      operation: BOOT_REPLY,
      hops: 0,
      xid: request.xid,
      secs: 0,
      broadcast: reply.broadcast,
      ciaddr: reply.ciaddr,
      yiaddr: reply.yiaddr,
      siaddr: reply.messageType === DHCP_NAK ? 0 : this.#serverAddress,
      giaddr: request.giaddr,
      chaddr: request.client.mac,
    };
  }

  #putProtocol(writer: DhcpWriter, reply: DhcpReply): void {
    const { leaseSeconds, problem } = reply;
    writer.putU8(OPTION_MESSAGE_TYPE, reply.messageType);
    writer.putU32(OPTION_SERVER_IDENTIFIER, this.#serverAddress);
    if (leaseSeconds !== 0) writer.putU32(OPTION_LEASE_SECONDS, leaseSeconds);
    if (leaseSeconds !== 0 && leaseSeconds !== INFINITE_SECONDS) {
      // T1 at half, T2 at seven eighths of the lease (RFC 2131 §4.4.5).
      writer.putU32(OPTION_RENEWAL_SECONDS, Math.floor(leaseSeconds / 2));
      writer.putU32(OPTION_REBINDING_SECONDS, Math.floor((leaseSeconds * 7) / 8));
    }
    if (problem !== '') writer.putText(OPTION_MESSAGE, problem);
  }

  #putParameters(writer: DhcpWriter, reply: DhcpReply, mtu: number): void {
    for (const code of this.#orderFor(reply.request.requestedOptions, mtu)) {
      if (code === OPTION_HOST_NAME && reply.hostName !== '') {
        this.#check(writer.putText(code, reply.hostName));
      } else if (code === OPTION_INTERFACE_MTU && !this.#customMtu) {
        this.#check(writer.putU16(code, Math.min(mtu, 0xffff)));
      } else {
        const value = this.#values.get(code);
        if (value !== undefined) this.#check(writer.putBytes(code, value));
      }
    }
  }

  #orderFor(requested: Uint8Array | undefined, mtu: number): Iterable<number> {
    if (requested === undefined || requested.length === 0) {
      return new Set([...this.#values.keys(), OPTION_INTERFACE_MTU, OPTION_HOST_NAME]);
    }
    const order = new Set<number>();
    if (!requested.includes(OPTION_SUBNET_MASK)) order.add(OPTION_SUBNET_MASK);
    for (const code of requested) {
      if (PROTOCOL_OPTIONS.has(code)) continue;
      if (code === OPTION_ROUTER) {
        order.add(OPTION_SUBNET_MASK);
        if (requested.includes(OPTION_CLASSLESS_ROUTES)) order.add(OPTION_CLASSLESS_ROUTES);
      }
      order.add(code);
    }
    // busybox's udhcpc never asks for it, and what a guest sends beyond another MTU than it believes is lost.
    if (mtu !== ETHERNET_MTU) order.add(OPTION_INTERFACE_MTU);
    return order;
  }

  #check(placed: boolean): void {
    if (!placed) this.#counters.add('dhcp-option-left-out');
  }
}

function valuesOf(network: DhcpNetwork, options: DhcpOptions): Map<number, Uint8Array> {
  const { subnet, gateway } = network;
  const values = new Map<number, Uint8Array>();
  const put = (code: number, value: Uint8Array): void => {
    if (value.length > 0) values.set(code, value);
  };
  put(OPTION_SUBNET_MASK, addresses([subnet.mask]));
  if (options.routes.length > 0)
    put(OPTION_CLASSLESS_ROUTES, encodeClasslessRoutes(withDefaultRoute(options, gateway)));
  put(OPTION_ROUTER, addresses([gateway]));
  put(OPTION_DNS_SERVERS, addresses(options.dnsServers.length > 0 ? options.dnsServers : [gateway]));
  put(OPTION_DOMAIN_NAME, text(options.domainName));
  put(OPTION_DOMAIN_SEARCH, encodeSearchList(options.searchDomains));
  if (subnet.prefix < 31) put(OPTION_BROADCAST_ADDRESS, addresses([subnet.broadcast]));
  put(OPTION_NTP_SERVERS, addresses(options.ntpServers));
  for (const { code, bytes } of options.customOptions) {
    if (PROTOCOL_OPTIONS.has(code)) continue;
    // Also what is empty: there are options whose presence says it all.
    values.set(code, Uint8Array.from(bytes));
  }
  return values;
}

/** A client that takes option 121 ignores option 3 (RFC 3442), so the default route is in both. */
function withDefaultRoute(options: DhcpOptions, gateway: number): { destination: Cidr; via: number }[] {
  const routes = [...options.routes];
  if (!routes.some(({ destination }) => destination.prefix === 0))
    routes.push({ destination: cidrOf(0, 0), via: gateway });
  return routes;
}

function addresses(list: readonly number[]): Uint8Array {
  const value = new Uint8Array(list.length * 4);
  list.forEach((address, i) => {
    writeU32(value, i * 4, address);
  });
  return value;
}

function text(value: string): Uint8Array {
  const bytes = new Uint8Array(value.length);
  writeLatin1(bytes, 0, value);
  return bytes;
}
