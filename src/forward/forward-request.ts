import type { BoundSockets } from '../env/host-listener.ts';

/** A forward from the host to a guest, its sockets bound, as the network is asked to open it. Plain data. */
export interface ForwardRequest {
  /** Chosen by who asks; unique among the open ones. */
  readonly id: number;
  readonly protocol: 'tcp' | 'udp' | 'unix';
  /** Ports in a row: `index` of each is added to `guestPort`. */
  readonly sockets: BoundSockets;
  /** IPv4; 0: the first guest, whichever address it has. */
  readonly guestAddress: number;
  /** Of index 0. */
  readonly guestPort: number;
  /** Whose address the guest sees as its peer's. */
  readonly source: 'client' | 'gateway';
  /** Header ahead of the client's bytes (TCP and unix). */
  readonly proxy: 'none' | 'v1' | 'v2';
  /** How long a client is held while the guest refuses or does not answer; 0: it is refused at once, and while that is known nobody listens. */
  readonly waitMs: number;
}

/** 'up': clients are taken. 'down': the guest is not there, refuses or does not answer; it is tried again and again. */
export type ForwardReach = 'up' | 'down';

/** A forward changed its state. */
export interface ForwardChange {
  readonly id: number;
  readonly state: ForwardReach;
  /** A sentence for a person ("192.168.65.3:80 refuses connections"); '' when up. */
  readonly why: string;
}

/** An open forward as it stands. */
export interface ForwardReport extends ForwardChange {
  /** Open connections, or clients of a UDP forward that are remembered. */
  readonly connections: number;
}
