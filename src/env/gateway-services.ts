/** A guest and the service at the gateway that it speaks with, by UDP. */
export interface ServiceFlow {
  readonly guestAddress: number;
  readonly guestPort: number;
  readonly gatewayAddress: number;
  readonly gatewayPort: number;
}

/** Who asks a service; one record is reused, valid during the call. */
export interface ServiceClient extends ServiceFlow {
  /** What the guest is attached to. */
  readonly attachment: string;
}

/**
 * Gateway services that speak UDP (DNS) live outside the core: datagrams go out here and answers come back through
 * `CoreNetwork.replyFromService`.
 */
export interface GatewayServices {
  /** A datagram for `service`; the bytes at [at, at + length) are valid only during the call. */
  datagram(service: string, client: ServiceClient, at: number, length: number): void;
}
