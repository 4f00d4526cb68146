/**
 * A datagram to a guest. The sender keeps one and refills it for each: nobody else holds it once `Udp.send`
 * returns. The eight bytes before the payload are overwritten.
 */
export class OutgoingDatagram {
  source = 0;
  sourcePort = 0;
  destinationPort = 0;
  /** The payload is at [at, at + length), length ≤ 65,507. */
  at = 0;
  length = 0;
  tos = 0;
}
