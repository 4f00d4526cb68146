import type { BoundSockets } from '../env/host-listener.ts';
import type { GuestListens } from './forward-target.ts';

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
  /**
   * How long a client is held while the guest refuses or does not answer; 0: it is refused at once, and while that is
   * known for sure nobody listens.
   */
  readonly waitMs: number;
  /** With address 0: who was the first guest before, for an earlier network thread; 0 for nobody. */
  readonly firstGuest?: number | undefined;
}

/** 'up': clients are taken. 'down': no guest is there, or its own socket table says that nobody listens. */
export type ForwardReach = 'up' | 'down';

/** The state of a forward. */
export interface ForwardStanding {
  readonly state: ForwardReach;
  /** A sentence for a person ("nobody listens at 192.168.65.3:80"); '' when up. */
  readonly why: string;
  /** IPv4 address of the guest that clients reach; 0 while there is none. */
  readonly guestAddress: number;
  /**
   * Whether somebody listens in the guest. 'unseen': nothing sees its sockets, so a client that it refuses is accepted
   * and reset.
   */
  readonly guestListens: GuestListens;
}

/** A forward changed its state. */
export interface ForwardChange extends ForwardStanding {
  readonly id: number;
}

/** The state of an open forward. */
export interface ForwardReport extends ForwardChange {
  /** Open connections, or clients of a UDP forward that are remembered. */
  readonly connections: number;
  /** A sentence for a person about what is not as usual with clients that are served; '' for nothing. */
  readonly note: string;
}
