import type { CoreNetwork } from '../network/core-network.ts';

/** Which flow is meant. */
export interface FlowName {
  /**
   * 'tcp' unless told. Of UDP only the guest's end is looked at: one mapping serves all that a guest's port speaks to.
   */
  readonly protocol?: 'tcp' | 'udp';
  readonly guestAddress: number;
  readonly guestPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
}

/** A flow as people see it. */
export interface FlowStatus extends FlowName {
  readonly protocol: 'tcp' | 'udp';
  /** Who began: the guest, or a client on the host's side (a forward). */
  readonly openedBy: 'guest' | 'host';
  /** As the guest knows its peer; of UDP the address spoken to last (0 for none), port 0. */
  readonly remoteAddress: number;
  readonly remotePort: number;
  /**
   * TCP: RFC 9293's word, SYN-HELD or DRAINING; LOOPBACK where a client is joined to the guest's own loopback. UDP:
   * answered or unanswered.
   */
  readonly state: string;
  readonly bytesFromGuest: number;
  readonly bytesToGuest: number;
}

/** At most `limit`, TCP first. */
export function flowsOf(network: CoreNetwork, limit: number): FlowStatus[] {
  const flows: FlowStatus[] = network.tcpFlows(limit).map((flow) => ({ protocol: 'tcp', ...flow }));
  for (const mapping of network.udpMappings()) {
    if (flows.length >= limit) break;
    const { guestAddress, guestPort, remotes, state, bytesFromGuest, bytesToGuest } = mapping;
    flows.push({
      protocol: 'udp',
      openedBy: 'guest',
      guestAddress,
      guestPort,
      remoteAddress: remotes.at(-1) ?? 0,
      remotePort: 0,
      state,
      bytesFromGuest,
      bytesToGuest,
    });
  }
  return flows;
}

/** False when there is no such flow. */
export function killFlow(network: CoreNetwork, flow: FlowName): boolean {
  const { protocol, guestAddress, guestPort, remoteAddress, remotePort } = flow;
  if (protocol === 'udp') return network.killUdpMapping(guestAddress, guestPort);
  return network.killTcpFlow(guestAddress, guestPort, remoteAddress, remotePort);
}
