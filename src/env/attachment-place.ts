/** Where guests attach on this computer, and where one listens that is dialled. */
export type AttachmentPlace = UnixPlace | TcpPlace;

export interface UnixPlace {
  readonly kind: 'unix';
  /** Absolute. */
  readonly path: string;
}

export interface TcpPlace {
  readonly kind: 'tcp';
  /** IPv4, unsigned 32-bit; of an attachment always loopback. */
  readonly address: number;
  /** 0 lets the host choose a port (listening side only). */
  readonly port: number;
}
