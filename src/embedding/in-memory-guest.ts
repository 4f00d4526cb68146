import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import type { MemoryGuest } from '../memory-guest/memory-guest.ts';
import { resolve } from '../memory-guest/resolve.ts';
import { formatIpv4Address, parseIpv4Address } from '../wire/ipv4-address.ts';

/**
 * A guest without a kernel: its TCP/IP stack is Slipway's own, in this process. It needs no rights and no device, so it
 * suits tests. To the network it is a guest like any other; nobody can connect to it.
 */
export class InMemoryGuest {
  /** The guest's IPv4 address. */
  readonly address: string;
  readonly #guest: MemoryGuest;
  readonly #dnsServer: number;

  /** @internal Made by `VirtualNetwork.attachInMemory`. */
  constructor(guest: MemoryGuest, address: number, dnsServer: number) {
    this.address = formatIpv4Address(address);
    this.#guest = guest;
    this.#dnsServer = dnsServer;
  }

  /**
   * A TCP connection from the guest to `host`, a name or an IPv4 address. As with `node:net` it ends by itself when the
   * other side does. Rejects with an error whose `code` is Node's own: ENOTFOUND, ECONNREFUSED or ETIMEDOUT.
   */
  async connect(port: number, host: string): Promise<Duplex> {
    const socket = this.#guest.connect(await this.#addressOf(host), port);
    socket.allowHalfOpen = false;
    await once(socket, 'connect');
    return socket;
  }

  /**
   * The first IPv4 address of `name`, as the network's DNS server has it. Rejects with `code` ENOTFOUND where it has
   * none.
   */
  async lookup(name: string): Promise<string> {
    return formatIpv4Address(await this.#addressOf(name));
  }

  /** Sends one ICMP echo request to `host`. Resolves with the round trip in milliseconds when the answer comes. */
  async ping(host: string): Promise<number> {
    return this.#guest.ping(await this.#addressOf(host));
  }

  /** Detaches the guest; its connections end. Idempotent. */
  close(): void {
    this.#guest.close();
  }

  async #addressOf(host: string): Promise<number> {
    const known = parseIpv4Address(host);
    if (known !== undefined) return known;
    const datagrams = this.#guest.datagrams(0);
    try {
      const found = await resolve(datagrams, this.#dnsServer, host);
      if (found !== undefined) return found;
    } finally {
      datagrams.close();
    }
    throw Object.assign(new Error(`${host} has no IPv4 address`), { code: 'ENOTFOUND', hostname: host });
  }
}
