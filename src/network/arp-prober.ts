import type { AddressProber } from '../dhcp/conflict-probes.ts';
import type { Arena } from '../env/arena.ts';
import { ArpOutput } from '../ip/arp-output.ts';
import type { Port } from '../link/port.ts';
import { ARP_REQUEST } from '../wire/arp.ts';
import { BROADCAST_MAC } from '../wire/ethernet.ts';

/**
 * Asks all guests that have been heard who has an address. Who answers is learned as a neighbor, like whoever speaks.
 */
export class ArpProber implements AddressProber {
  readonly #output: ArpOutput;
  readonly #ports: () => readonly Port[];

  constructor(arena: Arena, gatewayMac: number, ports: () => readonly Port[]) {
    this.#output = new ArpOutput(arena, gatewayMac);
    this.#ports = ports;
  }

  /**
   * The sender address is 0.0.0.0, so no one's ARP cache changes (RFC 5227 §2.1.1). A port whose queue is full is left
   * out.
   */
  probe(address: number): void {
    this.#ask(address, 0);
  }

  /**
   * Asks as `sender`, one of our own addresses: who answers knows then where its own answers go (RFC 826). False when
   * there is nobody to ask.
   */
  ask(address: number, sender: number): boolean {
    return this.#ask(address, sender);
  }

  #ask(address: number, sender: number): boolean {
    const question = this.#output.packet;
    question.operation = ARP_REQUEST;
    question.senderAddress = sender;
    question.targetAddress = address;
    let asked = false;
    for (const { outlet, heard } of this.#ports()) {
      if (!heard) continue;
      asked = true;
      this.#output.send(outlet, BROADCAST_MAC);
    }
    return asked;
  }
}
