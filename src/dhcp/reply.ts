import {
  BOOT_REPLY,
  DHCP_DEFAULT_MAX_BYTES,
  DHCP_NAK,
  type DhcpFields,
  OPTION_BROADCAST_ADDRESS,
  OPTION_CLIENT_IDENTIFIER,
  OPTION_DNS_SERVERS,
  OPTION_DOMAIN_NAME,
  OPTION_INTERFACE_MTU,
  OPTION_LEASE_SECONDS,
  OPTION_MESSAGE_TYPE,
  OPTION_REBINDING_SECONDS,
  OPTION_RENEWAL_SECONDS,
  OPTION_ROUTER,
  OPTION_SERVER_IDENTIFIER,
  OPTION_SUBNET_MASK,
} from '../wire/dhcpv4.ts';
import { DhcpWriter } from '../wire/dhcpv4-writer.ts';

/** What guests are told about the network. */
export interface DhcpParameters {
  /** The server's own address: the gateway. */
  readonly serverAddress: number;
  readonly subnetMask: number;
  readonly broadcastAddress: number;
  readonly routers: readonly number[];
  readonly dnsServers: readonly number[];
  /** MTU of the guests' interface in bytes. */
  readonly mtu: number;
  readonly leaseSeconds: number;
  /** '' for none. */
  readonly domainName: string;
}

/** An answer, and where it goes. */
export interface DhcpReply {
  /** DHCP_OFFER, DHCP_ACK or DHCP_NAK. */
  readonly messageType: number;
  readonly xid: number;
  readonly broadcast: boolean;
  readonly ciaddr: number;
  /** The address given; 0 when none is (NAK, answer to INFORM). */
  readonly yiaddr: number;
  readonly mac: number;
  /** Option 61, which goes back as it came (RFC 6842 §3). */
  readonly clientIdentifier: Uint8Array | undefined;
  /** IP destination and the MAC to send to (RFC 2131 §4.1). */
  readonly destinationAddress: number;
  readonly destinationMac: number;
}

/** The longest message that `writeDhcpReply` writes. */
export const DHCP_REPLY_BYTES: number = DHCP_DEFAULT_MAX_BYTES;

/** Writes `reply` as a DHCP message at `at`, where DHCP_REPLY_BYTES are free; returns its length. */
export function writeDhcpReply(bytes: Uint8Array, at: number, reply: DhcpReply, parameters: DhcpParameters): number {
  const writer = new DhcpWriter(bytes);
  writer.start(at, DHCP_REPLY_BYTES, fieldsOf(reply, parameters));
  writer.putU8(OPTION_MESSAGE_TYPE, reply.messageType);
  writer.putU32(OPTION_SERVER_IDENTIFIER, parameters.serverAddress);
  if (reply.messageType !== DHCP_NAK) putParameters(writer, reply, parameters);
  if (reply.clientIdentifier !== undefined) writer.putBytes(OPTION_CLIENT_IDENTIFIER, reply.clientIdentifier);
  return writer.finish();
}

function fieldsOf(reply: DhcpReply, parameters: DhcpParameters): DhcpFields {
  return {
    operation: BOOT_REPLY,
    hops: 0,
    xid: reply.xid,
    secs: 0,
    broadcast: reply.broadcast,
    ciaddr: reply.ciaddr,
    yiaddr: reply.yiaddr,
    siaddr: reply.messageType === DHCP_NAK ? 0 : parameters.serverAddress,
    giaddr: 0,
    chaddr: reply.mac,
  };
}

function putParameters(writer: DhcpWriter, reply: DhcpReply, parameters: DhcpParameters): void {
  if (reply.yiaddr !== 0) {
    const { leaseSeconds } = parameters;
    writer.putU32(OPTION_LEASE_SECONDS, leaseSeconds);
    // T1 at half, T2 at seven eighths of the lease (RFC 2131 §4.4.5).
    writer.putU32(OPTION_RENEWAL_SECONDS, Math.floor(leaseSeconds / 2));
    writer.putU32(OPTION_REBINDING_SECONDS, Math.floor((leaseSeconds * 7) / 8));
  }
  writer.putU32(OPTION_SUBNET_MASK, parameters.subnetMask);
  writer.putAddresses(OPTION_ROUTER, parameters.routers);
  writer.putAddresses(OPTION_DNS_SERVERS, parameters.dnsServers);
  writer.putU32(OPTION_BROADCAST_ADDRESS, parameters.broadcastAddress);
  writer.putU16(OPTION_INTERFACE_MTU, parameters.mtu);
  if (parameters.domainName !== '') writer.putText(OPTION_DOMAIN_NAME, parameters.domainName);
}
