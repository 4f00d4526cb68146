import { type HostAddress, LOOPBACK4, LOOPBACK6 } from '../../env/host.ts';
import { EVERY_ADDRESS } from './sock-diag-messages.ts';

/** More listeners than any guest has services; what is beyond is unknown. 10 bytes each. */
const MAX_LISTENERS = 8_192;

/**
 * The TCP sockets that listen in one network namespace, as one look found them. Filled again and again without
 * allocating.
 */
export class ListenerList {
  /** There are more than fit. */
  cut = false;
  #count = 0;
  readonly #addresses = new Float64Array(MAX_LISTENERS);
  readonly #ports = new Uint16Array(MAX_LISTENERS);

  clear(): void {
    this.#count = 0;
    this.cut = false;
  }

  add(address: HostAddress, port: number): void {
    if (this.#count === MAX_LISTENERS) {
      this.cut = true;
      return;
    }
    this.#addresses[this.#count] = address;
    this.#ports[this.#count++] = port;
  }

  /** In the same order, too: the kernel's order of the same sockets is the same. */
  equals(other: ListenerList): boolean {
    if (this.#count !== other.#count || this.cut !== other.cut) return false;
    for (let i = 0; i < this.#count; i++) {
      if (this.#ports[i] !== other.#ports[i] || this.#addresses[i] !== other.#addresses[i]) return false;
    }
    return true;
  }

  /** The addresses of each port's listeners, with those of another list, if there is one. */
  byPort(other?: ListenerList): Map<number, HostAddress[]> {
    const found = new Map<number, HostAddress[]>();
    this.#addTo(found);
    if (other !== undefined) other.#addTo(found);
    return found;
  }

  #addTo(found: Map<number, HostAddress[]>): void {
    for (let i = 0; i < this.#count; i++) {
      const port = this.#ports[i] as number;
      const addresses = found.get(port);
      if (addresses === undefined) found.set(port, [this.#addresses[i] as number]);
      else addresses.push(this.#addresses[i] as number);
    }
  }
}

/** Whether one of a port's listeners takes connections to `address` from outside. */
export function isReached(listeners: readonly HostAddress[], address: number): boolean {
  return listeners.includes(EVERY_ADDRESS) || listeners.includes(address);
}

/** Where one of a port's listeners is reached over loopback only: 127.0.0.1 before others; undefined for none. */
export function loopbackOf(listeners: readonly HostAddress[]): HostAddress | undefined {
  if (listeners.includes(LOOPBACK4)) return LOOPBACK4;
  return listeners.find((address) => address >>> 24 === 127 && address < LOOPBACK6) ?? listeners.find(isLoopback6);
}

function isLoopback6(address: HostAddress): boolean {
  return address === LOOPBACK6;
}
