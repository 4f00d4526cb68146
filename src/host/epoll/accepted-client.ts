import type { HostAddress } from '../../env/host.ts';
import type { HostClient } from '../../env/host-listener.ts';
import { MAPPED_ADDRESS_BYTES, readMappedAddress, writeMappedAddress } from '../mapped-address.ts';
import { type KernelMemory, NAME_BYTES } from './kernel-memory.ts';
import * as libc from './libc.ts';
import type { Poller } from './poller.ts';

/** Clients that all forwards accept before the network has its turn: about 3 ms. */
const ACCEPTS_PER_WAIT = 128;

/**
 * The client that was accepted last, for the length of one call; our own address is asked for only when it is wanted.
 */
export class AcceptedClient implements HostClient {
  readonly clientBytes: Uint8Array = new Uint8Array(MAPPED_ADDRESS_BYTES);
  address: HostAddress = -1;
  port = 0;
  readonly #memory: KernelMemory;
  readonly #poller: Pick<Poller, 'waits'>;
  readonly #name: number;
  readonly #length: number;
  readonly #localBytes = new Uint8Array(MAPPED_ADDRESS_BYTES);
  #localPort = 0;
  #localKnown = false;
  #fd = -1;
  #wait = -1;
  #accepted = 0;

  constructor(memory: KernelMemory, poller: Pick<Poller, 'waits'>) {
    this.#memory = memory;
    this.#poller = poller;
    this.#name = memory.allocate(NAME_BYTES);
    this.#length = memory.allocate(4);
  }

  /** True when enough clients were accepted since the loop last waited. */
  get hadItsShare(): boolean {
    return this.#wait === this.#poller.waits && this.#accepted >= ACCEPTS_PER_WAIT;
  }

  get localBytes(): Uint8Array {
    this.#learnLocal();
    return this.#localBytes;
  }

  get localPort(): number {
    this.#learnLocal();
    return this.#localPort;
  }

  /** accept4() on a listening socket: the descriptor of the client that this now tells of, or −1 with errno set. */
  accept(listener: number): number {
    const { base } = this.#memory;
    this.#memory.setU32(this.#length, NAME_BYTES);
    this.#fd = libc.accept4(listener, base + this.#name, base + this.#length, libc.SOCK_FLAGS);
    if (this.#fd < 0) return -1;
    if (this.#wait !== this.#poller.waits) this.#accepted = 0;
    this.#wait = this.#poller.waits;
    this.#accepted++;
    this.port = this.#readName(this.clientBytes);
    this.address = this.port === 0 ? -1 : readMappedAddress(this.clientBytes, 0);
    this.#localKnown = false;
    return this.#fd;
  }

  #learnLocal(): void {
    if (this.#localKnown) return;
    this.#localKnown = true;
    const { base } = this.#memory;
    this.#memory.setU32(this.#length, NAME_BYTES);
    this.#memory.setU32(this.#name, 0);
    libc.getsockname(this.#fd, base + this.#name, base + this.#length);
    this.#localPort = this.#readName(this.#localBytes);
  }

  /** The address in the sockaddr into `bytes`; returns the port. Zeros and 0 for a unix socket. */
  #readName(bytes: Uint8Array): number {
    const { arena } = this.#memory;
    const family = arena.view.getUint16(this.#name, true);
    if (family === libc.AF_INET6) bytes.set(arena.bytes.subarray(this.#name + 8, this.#name + 24));
    else writeMappedAddress(bytes, 0, family === libc.AF_INET ? arena.view.getUint32(this.#name + 4) : -1);
    return family === libc.AF_UNIX || family === 0 ? 0 : this.#memory.readPort(this.#name);
  }
}
