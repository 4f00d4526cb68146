import type { Frame } from '../link/frame.ts';
import type { Neighbor } from './neighbor.ts';
import type { Packet } from './packet.ts';

/** The record behind `Packet`, as its owner fills it. */
export class ReceivedPacket implements Packet {
  frame: Frame;
  neighbor: Neighbor;
  headerAt = 0;
  payloadAt = 0;
  payloadEnd = 0;
  source = 0;
  destination = 0;
  protocol = 0;
  ttl = 0;
  tos = 0;
  dontFragment = false;
  probesPath = false;

  constructor(frame: Frame, neighbor: Neighbor) {
    this.frame = frame;
    this.neighbor = neighbor;
  }
}
