import type { Neighbor } from '../ip/neighbor.ts';

/** The two ends of a flow: the guest's, and the remote one as the guest knows it. */
export interface FlowEnds {
  readonly neighbor: Neighbor;
  readonly guestPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
}
