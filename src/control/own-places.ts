import { type HostAddress, LOOPBACK6 } from '../env/host.ts';
import { EVERY_ADDRESS, type OwnListener } from '../flow/own-listeners.ts';
import type { FlowProtocol } from '../flow/protocol.ts';
import { parseIpv4Address } from '../wire/ipv4-address.ts';
import { socketService } from './socket-services.ts';

/** Where this process listens itself, and no guest is to get. */
export type OwnPlace =
  | { readonly kind: 'unix'; readonly path: string }
  | {
      readonly kind: 'port';
      readonly protocol: FlowProtocol;
      /** EVERY_ADDRESS for a listener without one. */
      readonly address: HostAddress;
      readonly port: number;
    };

/**
 * A TCP listener of this process at an address as text, IPv6 perhaps in brackets. Anything that is not one of our
 * addresses counts as every address.
 */
export function ownPort(text: string, port: number): OwnPlace {
  const bare = text.replace(/^\[|\]$/g, '');
  const address = bare === '::1' ? LOOPBACK6 : (parseIpv4Address(bare) ?? EVERY_ADDRESS);
  return { kind: 'port', protocol: 'tcp', address, port };
}

/** The same place as the core names it. */
export function ownListener(place: OwnPlace): OwnListener {
  if (place.kind === 'unix') return { kind: 'socket', service: socketService(place.path) };
  return place;
}
