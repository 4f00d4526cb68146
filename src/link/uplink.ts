import type { Frame } from './frame.ts';
import type { Port } from './port.ts';

/** The gateway's side of the switch: gets what is addressed to the gateway's MAC, and every broadcast and multicast. */
export interface Uplink {
  /**
   * A frame of at least 14 bytes that came in at `port`. Its bytes stay until the turn's commit phase is over. Never
   * throws on guest bytes.
   */
  receive(port: Port, frame: Frame): void;
  /**
   * Whether a guest's frame claims an address of the gateway as its sender's, tagged or not: no other guest may hear
   * that.
   */
  claimsOwnAddress(frame: Frame): boolean;
}
