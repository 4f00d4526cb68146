import type { FlowName, FlowStatus } from '../../control/flow-status.ts';
import { formatIpv4Address, parseIpv4Address } from '../../wire/ipv4-address.ts';
import type { FlowJson } from './contract.ts';

/** A flow as the API shows it. */
export function flowJson(flow: FlowStatus): FlowJson {
  const { protocol, openedBy, state, bytesFromGuest, bytesToGuest } = flow;
  const guest = `${formatIpv4Address(flow.guestAddress)}:${flow.guestPort}`;
  const remote = `${formatIpv4Address(flow.remoteAddress)}:${flow.remotePort}`;
  return {
    id: `${protocol}-${guest}-${remote}`,
    protocol,
    openedBy,
    guest,
    remote,
    state,
    bytesFromGuest,
    bytesToGuest,
  };
}

/** The flow that an id names; undefined if the text is not an id. */
export function flowOfId(id: string): FlowName | undefined {
  const match = /^(tcp|udp)-([\d.]+):(\d{1,5})-([\d.]+):(\d{1,5})$/.exec(id);
  const [guestAddress, remoteAddress] = [parseIpv4Address(match?.[2] ?? ''), parseIpv4Address(match?.[4] ?? '')];
  const [guestPort, remotePort] = [Number(match?.[3]), Number(match?.[5])];
  if (match === null || guestAddress === undefined || remoteAddress === undefined) return undefined;
  if (guestPort > 65_535 || remotePort > 65_535) return undefined;
  return { protocol: match[1] as 'tcp' | 'udp', guestAddress, guestPort, remoteAddress, remotePort };
}
