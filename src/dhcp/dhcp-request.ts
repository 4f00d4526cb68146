import type { DhcpMessage } from '../wire/dhcpv4.ts';
import { clientKey, type DhcpClient } from './dhcp-client.ts';

/** Where a message came in: what an answer needs to find its way back. */
export interface DhcpOrigin {
  /** Id of the port at the switch. */
  readonly place: number;
  /** Who brought it: the client itself or a relay. A 48-bit number. */
  readonly mac: number;
  /** The packet's source address; 0 for a client that has none yet. */
  readonly source: number;
}

/** What a client wants, apart from the bytes that said so: it may be answered later. */
export interface DhcpRequest<Origin extends DhcpOrigin = DhcpOrigin> {
  readonly origin: Origin;
  readonly client: DhcpClient;
  readonly messageType: number;
  readonly xid: number;
  readonly broadcast: boolean;
  readonly ciaddr: number;
  readonly giaddr: number;
  readonly serverIdentifier: number | undefined;
  readonly requestedAddress: number | undefined;
  /** How long it wants the lease. */
  readonly leaseSeconds: number | undefined;
  readonly maxMessageBytes: number | undefined;
  /** Option 55. */
  readonly requestedOptions: Uint8Array | undefined;
  /** Option 61. */
  readonly clientIdentifier: Uint8Array | undefined;
  /** Option 82. */
  readonly relayInformation: Uint8Array | undefined;
  /** '' when it says none that could be a DNS label. */
  readonly hostName: string;
}

/** An option of one piece: what is longer is no identifier that anyone sends. */
export const MAX_IDENTIFIER_BYTES = 255;

/** Copies what the server needs; undefined when an option that must go back as it came is too long for that. */
export function requestOf<Origin extends DhcpOrigin>(
  message: DhcpMessage,
  origin: Origin,
): DhcpRequest<Origin> | undefined {
  const { clientIdentifier, relayInformation, chaddr } = message;
  if ((clientIdentifier?.length ?? 0) > MAX_IDENTIFIER_BYTES) return undefined;
  if ((relayInformation?.length ?? 0) > MAX_IDENTIFIER_BYTES) return undefined;
  return {
    origin,
    client: { key: clientKey(clientIdentifier, chaddr), mac: chaddr, place: origin.place },
    messageType: message.messageType,
    xid: message.xid,
    broadcast: message.broadcast,
    ciaddr: message.ciaddr,
    giaddr: message.giaddr,
    serverIdentifier: message.serverIdentifier,
    requestedAddress: message.requestedAddress,
    leaseSeconds: message.leaseSeconds,
    maxMessageBytes: message.maxMessageBytes,
    requestedOptions: message.parameterRequestList,
    clientIdentifier,
    relayInformation,
    // A client that sends its full name leaves the short one out or repeats it (RFC 4702 §3.1).
    hostName: firstLabel(message.fullName) || firstLabel(message.hostName),
  };
}

/** The host's own part of a name if DNS allows it (RFC 1123 §2.1), else ''. */
function firstLabel(name: string | undefined): string {
  const [label = ''] = (name ?? '').split('.', 1);
  return /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(label) ? label : '';
}
