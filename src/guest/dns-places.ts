import { SlipwayError } from '../facts/errors.ts';
import { DnsListener, type DnsListenerOptions } from './dns-listener.ts';
import { interfaceAddress } from './interface-address.ts';
import { portHolder } from './port-holder.ts';

/** Where to listen: at an address, or at whatever IPv4 address an interface has. */
export type DnsPlace =
  | { readonly address: string; readonly port: number }
  | { readonly interface: string; readonly port: number };

/** What happened at a place. `name`: the interface, or the address itself. */
export type PlaceEvent =
  | { readonly event: 'listening'; readonly name: string; readonly address: string; readonly port: number }
  | { readonly event: 'lost'; readonly name: string; readonly address: string; readonly port: number }
  /** Looked for again with every `look`; told once per reason. */
  | { readonly event: 'waiting'; readonly name: string; readonly why: string };

interface Place {
  readonly wanted: DnsPlace;
  listener: DnsListener | undefined;
  /** The obstacle that was last reported: 'absent' or an errno's name; empty when nothing does. */
  obstacle: string;
}

/**
 * The addresses that a DNS server listens at, each on its own: one that comes, goes or is refused disturbs no other.
 */
export class DnsPlaces {
  readonly #places: readonly Place[];
  readonly #options: DnsListenerOptions;
  readonly #tell: (event: PlaceEvent) => void;
  #closed = false;

  constructor(places: readonly DnsPlace[], options: DnsListenerOptions, tell: (event: PlaceEvent) => void) {
    this.#places = places.map((wanted) => ({ wanted, listener: undefined, obstacle: '' }));
    this.#options = options;
    this.#tell = tell;
  }

  /**
   * Opens every place whose address exists. Rejects with a SlipwayError when the kernel refuses one; a missing address
   * is no refusal.
   */
  async start(): Promise<void> {
    for (const place of this.#places) {
      const error = await this.#look(place);
      if (error === undefined) continue;
      this.close();
      throw refusal(place.wanted, error);
    }
  }

  /** Follows what changed. Not to be called again before it has settled; never rejects. */
  async look(): Promise<void> {
    for (const place of this.#places) {
      const error = await this.#look(place);
      if (error !== undefined) this.#wait(place, error.code ?? 'EIO', () => refusal(place.wanted, error).message);
    }
  }

  close(): void {
    this.#closed = true;
    for (const place of this.#places) place.listener?.close();
  }

  /**
   * Brings one place up to date. Returns the system's error when it refuses; a missing address is no error and is
   * waited for.
   */
  async #look(place: Place): Promise<ListenError | undefined> {
    const name = nameOf(place.wanted);
    const address = 'address' in place.wanted ? place.wanted.address : interfaceAddress(place.wanted.interface);
    const { listener } = place;
    if (listener !== undefined) {
      if (listener.address === address) return undefined;
      place.listener = undefined;
      const { port } = listener;
      listener.close();
      this.#tell({ event: 'lost', name, address: listener.address, port });
    }
    if (address === undefined) {
      return this.#wait(place, 'absent', () => `there is no interface ${name} with an IPv4 address`);
    }
    try {
      const opened = await DnsListener.open(address, place.wanted.port, this.#options);
      // The end may have come meanwhile.
      if (this.#closed) return void opened.close();
      place.listener = opened;
      place.obstacle = '';
      this.#tell({ event: 'listening', name, address, port: opened.port });
    } catch (error) {
      if ((error as ListenError).code !== 'EADDRNOTAVAIL') return error as ListenError;
      return this.#wait(place, 'absent', () => `${address} is not an address of this machine`);
    }
    return undefined;
  }

  /** `why` is called only for a new refusal, since finding the holder of a port means looking at every process. */
  #wait(place: Place, obstacle: string, why: () => string): undefined {
    if (place.obstacle === obstacle) return;
    place.obstacle = obstacle;
    this.#tell({ event: 'waiting', name: nameOf(place.wanted), why: why() });
  }
}

interface ListenError extends NodeJS.ErrnoException {
  readonly address?: string;
  readonly transport?: 'udp' | 'tcp';
}

function nameOf(place: DnsPlace): string {
  return 'address' in place ? place.address : place.interface;
}

function refusal(place: DnsPlace, error: ListenError): SlipwayError {
  const { code, transport = 'udp' } = error;
  const where = `${nameOf(place)} port ${place.port} (${transport.toUpperCase()})`;
  const cause = { cause: error };
  if (code === 'EADDRINUSE') {
    const holder = portHolder(transport, place.port);
    return new SlipwayError(
      'ERR_GUEST_PORT_IN_USE',
      `${where} is held by ${holder ?? 'another program (/proc does not show which)'}`,
      'End that program, or name other addresses with --listen. The stub of systemd-resolved, at 127.0.0.53, is not in the way.',
      cause,
    );
  }
  const denied = code === 'EACCES' || code === 'EPERM';
  return new SlipwayError(
    'ERR_GUEST_LISTEN_FAILED',
    `cannot listen at ${where}: ${denied ? 'this user may not use the port' : error.message}`,
    denied ? 'Run it as root, or give it CAP_NET_BIND_SERVICE, or name a port above 1023 with --listen.' : '',
    cause,
  );
}
