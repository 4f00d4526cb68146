import { DHCP_ACK, DHCP_CLIENT_PORT, DHCP_NAK, DHCP_SERVER_PORT } from '../wire/dhcpv4.ts';
import { BROADCAST_MAC } from '../wire/ethernet.ts';
import { IPV4_BROADCAST } from '../wire/ipv4.ts';
import type { DhcpRequest } from './dhcp-request.ts';

/** An answer, and where it goes. */
export interface DhcpReply {
  /** What is answered; its identifier and relay information go back as they came (RFC 6842 §3, RFC 3046 §2.2). */
  readonly request: DhcpRequest;
  /** DHCP_OFFER, DHCP_ACK or DHCP_NAK. */
  readonly messageType: number;
  readonly broadcast: boolean;
  readonly ciaddr: number;
  /** The address given; 0 when none is (NAK, answer to INFORM). */
  readonly yiaddr: number;
  /** How long the lease lasts; 0 when there is none; INFINITE_SECONDS for good. */
  readonly leaseSeconds: number;
  /** The name that a reservation gives the client; '' for none. */
  readonly hostName: string;
  /** Why not, for people (NAK); '' otherwise. */
  readonly problem: string;
  /** IP destination, its port, and the MAC to send to (RFC 2131 §4.1). */
  readonly destinationAddress: number;
  readonly destinationPort: number;
  readonly destinationMac: number;
}

/** Option 51 for a lease that never ends (RFC 2131 §3.3). */
export const INFINITE_SECONDS = 0xffff_ffff;

/** What the server decided. */
export interface Decision {
  readonly messageType: number;
  readonly yiaddr?: number;
  readonly leaseSeconds?: number;
  readonly hostName?: string;
  readonly problem?: string;
}

/** The answer to `request`, addressed as RFC 2131 §4.1 says. */
export function replyTo(request: DhcpRequest, decision: Decision): DhcpReply {
  const { ciaddr, giaddr, client, origin } = request;
  const { messageType, yiaddr = 0, leaseSeconds = 0, hostName = '', problem = '' } = decision;
  const refused = messageType === DHCP_NAK;
  const facts = {
    request,
    messageType,
    yiaddr,
    leaseSeconds,
    hostName,
    problem,
    ciaddr: messageType === DHCP_ACK ? ciaddr : 0,
    // A relay must not send a NAK to an address that the client may not have (§4.3.2).
    broadcast: request.broadcast || (refused && giaddr !== 0),
  };
  if (giaddr !== 0) {
    const relay = { destinationAddress: giaddr, destinationPort: DHCP_SERVER_PORT, destinationMac: origin.mac };
    return { ...facts, ...relay };
  }
  const toAll = refused || (ciaddr === 0 && (request.broadcast || yiaddr === 0));
  return {
    ...facts,
    destinationAddress: toAll ? IPV4_BROADCAST : ciaddr === 0 ? yiaddr : ciaddr,
    destinationPort: DHCP_CLIENT_PORT,
    destinationMac: toAll ? BROADCAST_MAC : client.mac,
  };
}
