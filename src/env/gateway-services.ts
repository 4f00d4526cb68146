/** Gateway services that speak UDP (DNS) live outside the core: datagrams go out here and answers come back through `CoreNetwork.replyFromService`. */
export interface GatewayServices {
  /** A datagram for `service`; the bytes at [at, at + length) are valid only during the call. `attachment`: what the guest is attached to. */
  datagram(
    service: string,
    guestAddress: number,
    guestPort: number,
    gatewayAddress: number,
    gatewayPort: number,
    at: number,
    length: number,
    attachment: string,
  ): void;
}
