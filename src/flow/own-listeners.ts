import { type HostAddress, LOOPBACK4, LOOPBACK6 } from '../env/host.ts';
import type { FlowProtocol } from './protocol.ts';

/** As a listener's address: every address of this computer, those that it has not got yet too. */
export const EVERY_ADDRESS: HostAddress = 0;

/** Where this process listens itself. */
export type OwnListener =
  | { readonly kind: 'port'; readonly protocol: FlowProtocol; readonly address: HostAddress; readonly port: number }
  /** A unix socket, by its name in the host's table of services. */
  | { readonly kind: 'socket'; readonly service: string };

/**
 * Where Slipway itself listens: for guests that attach, for the control API, for a debugger. Guests may not dial any of
 * it, by whatever address they come: what listens there trusts this computer's users, and a guest's dial is one of its
 * user's. Bound: whoever opens a listener adds it, and they are as many as the configuration names.
 */
export class OwnListeners {
  readonly #tcp = new Set<number>();
  readonly #udp = new Set<number>();
  readonly #sockets = new Set<string>();

  /** Adding what is there already changes nothing. */
  add(listener: OwnListener): void {
    if (listener.kind === 'socket') this.#sockets.add(listener.service);
    else this.#ports(listener.protocol).add(key(listener.address, listener.port));
  }

  /** Removing what is not there changes nothing. */
  remove(listener: OwnListener): void {
    if (listener.kind === 'socket') this.#sockets.delete(listener.service);
    else this.#ports(listener.protocol).delete(key(listener.address, listener.port));
  }

  /**
   * Whether a dial to that place could end at one of them. Both loopbacks count as one, because a dial to 127.0.0.1
   * goes on to [::1]. A port at every address counts at all there are: which of them are this computer's changes, and
   * the dial is not to win that race.
   */
  has(protocol: FlowProtocol, address: HostAddress, port: number): boolean {
    const ports = this.#ports(protocol);
    if (ports.size === 0) return false;
    if (ports.has(key(address, port)) || ports.has(key(EVERY_ADDRESS, port))) return true;
    if (address !== LOOPBACK4 && address !== LOOPBACK6) return false;
    return ports.has(key(LOOPBACK4, port)) || ports.has(key(LOOPBACK6, port));
  }

  hasSocket(service: string): boolean {
    return this.#sockets.has(service);
  }

  #ports(protocol: FlowProtocol): Set<number> {
    return protocol === 'tcp' ? this.#tcp : this.#udp;
  }
}

function key(address: HostAddress, port: number): number {
  return address * 65_536 + port;
}
