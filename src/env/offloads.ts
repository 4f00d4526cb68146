/** What may cross to a guest, and from it, unfinished: the work is left to the other side of its interface. */
export interface Offloads {
  /** Frames may leave their checksum to be written (`Frame.needsChecksum`). */
  readonly checksum: boolean;
  /** TCP super-segments, IPv4 and IPv6, up to 65,535 bytes of IP packet. */
  readonly tcpSegmentation: boolean;
  /** UDP super-segments (on a tap: Linux 6.2 and later). */
  readonly udpSegmentation: boolean;
}

/** Of sockets, which carry finished frames only. */
export const NO_OFFLOADS: Offloads = { checksum: false, tcpSegmentation: false, udpSegmentation: false };
