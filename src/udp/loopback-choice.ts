import { LOOPBACK4, LOOPBACK6 } from '../env/host.ts';

/** Ports remembered; a guest that talks to more of the host's own ports than this tries IPv4 first again. */
const MAX_PORTS = 64;
/** A longer datagram is not kept: its sender gets the refusal and repeats. */
const MAX_KEPT_BYTES = 1472;

/**
 * Where the host address leads for one mapping: a port is asked on 127.0.0.1 first, and on [::1] from when that
 * refused. So that the datagram that found out is not lost, the last one to a port that has not answered yet is kept.
 */
export class LoopbackChoice {
  /** Ports that only [::1] serves, as far as is known. */
  readonly #on6 = new Set<number>();
  readonly #answered4 = new Set<number>();
  #kept: Uint8Array | undefined;
  #keptLength = 0;
  /** 0: none is kept. */
  #keptPort = 0;

  addressFor(port: number): number {
    return this.#on6.has(port) ? LOOPBACK6 : LOOPBACK4;
  }

  /** The payload at [at, at + length) goes to 127.0.0.1 and `port`. */
  keep(port: number, bytes: Uint8Array, at: number, length: number): void {
    if (this.#answered4.has(port)) return;
    this.#keptPort = 0;
    if (length > MAX_KEPT_BYTES) return;
    this.#kept ??= new Uint8Array(MAX_KEPT_BYTES);
    this.#kept.set(bytes.subarray(at, at + length));
    this.#keptLength = length;
    this.#keptPort = port;
  }

  /** 127.0.0.1 answered from `port`. */
  answered4(port: number): void {
    if (this.#answered4.has(port)) return;
    remember(this.#answered4, port);
    if (this.#keptPort === port) this.#keptPort = 0;
  }

  /**
   * 127.0.0.1 refused; the next datagrams go to [::1]. Returns the kept payload to send there now, 'moved' when the
   * port had moved already (this one was on its way), or 'refused' when the bytes are gone and the guest must hear of
   * it.
   */
  refused4(port: number): Uint8Array | 'moved' | 'refused' {
    this.#answered4.delete(port);
    if (this.#on6.has(port)) return 'moved';
    remember(this.#on6, port);
    if (this.#keptPort !== port || this.#kept === undefined) return 'refused';
    this.#keptPort = 0;
    return this.#kept.subarray(0, this.#keptLength);
  }

  /** [::1] refused too: the next datagram begins at 127.0.0.1 again. */
  refused6(port: number): void {
    this.#on6.delete(port);
  }
}

function remember(ports: Set<number>, port: number): void {
  if (ports.size >= MAX_PORTS) ports.clear();
  ports.add(port);
}
