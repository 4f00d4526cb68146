import type { GuestSockets, GuestSocketsWatcher, ListenState } from '../env/guest-sockets.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { FIRST_GUEST, type GuestFinder, type GuestWaiter } from './guest-finder.ts';

/** What a forward is for. */
export interface TargetFacts {
  /** IPv4, or FIRST_GUEST. */
  readonly address: number;
  /** First port of the guest; 0: only whether the guest is there matters. */
  readonly port: number;
  /** Ports in a row. */
  readonly count: number;
}

/**
 * 'asking': who has the address is not known yet. 'deaf': the guest's own socket table says that nobody takes
 * connections.
 */
export type TargetState = 'asking' | 'no-guest' | 'deaf' | 'there';

/** Whether somebody listens in the guest. 'unseen': nothing sees its sockets, so each client's connection shows it. */
export type GuestListens = 'yes' | 'no' | 'unseen';

/**
 * Knows the guest that a forward is for and, where something sees that guest's own sockets, whether anybody listens
 * there.
 *
 * Both are authoritative. What one client met (a refusal, silence) is that client's alone and never gets here: the
 * guest may have refused only that client. No packet is sent to find out, but for ARP where the address is nobody's.
 */
export class ForwardTarget implements GuestWaiter, GuestSocketsWatcher {
  state: TargetState = 'asking';
  /** While it is attached. */
  guest: Neighbor | undefined;
  readonly #finder: GuestFinder;
  readonly #facts: TargetFacts;
  readonly #changed: () => void;
  #sockets: GuestSockets | undefined;
  #stopped = false;

  /** `changed` hears of every change of `state` and `guest`. */
  constructor(finder: GuestFinder, facts: TargetFacts, changed: () => void) {
    this.#finder = finder;
    this.#facts = facts;
    this.#changed = changed;
  }

  /** Nobody would take a client now. */
  get isDown(): boolean {
    return this.state === 'no-guest' || this.state === 'deaf';
  }

  get guestListens(): GuestListens {
    if (this.guest !== undefined && (this.#sockets === undefined || this.#facts.port === 0)) return 'unseen';
    return this.isDown ? 'no' : 'yes';
  }

  /** A sentence for a person about what keeps it down; '' while it is up. */
  get why(): string {
    if (this.state === 'there') return '';
    const { address, port, count } = this.#facts;
    const first = address === FIRST_GUEST;
    if (this.state === 'deaf') {
      const ports = count > 1 ? `${port}-${port + count - 1}` : `${port}`;
      const place = first ? `port ${ports} of the guest` : `${formatIpv4Address(address)}:${ports}`;
      return `nobody listens at ${place}`;
    }
    if (this.state === 'asking')
      return first ? 'the guest is being asked for' : `${formatIpv4Address(address)} is being asked for`;
    const none = first ? 'no guest is there' : `no guest has ${formatIpv4Address(address)}`;
    return this.#finder.someUnheard ? `${none}; one is attached that has not sent anything yet` : none;
  }

  /** Begins. */
  look(): void {
    const guest = this.#finder.resolve(this.#facts.address, this);
    if (guest !== 'asking') this.#conclude(guest === 'none' ? undefined : guest);
  }

  /** A guest spoke from an address for the first time, or from another place. */
  heard({ address }: Neighbor): void {
    const wanted = this.#facts.address;
    if (this.#stopped || (wanted !== FIRST_GUEST && wanted !== address)) return;
    const guest = this.#finder.find(wanted);
    if (guest !== undefined) this.#conclude(guest);
  }

  /** A guest left the link: it may be this one. */
  guestLeft(): void {
    if (this.guest === undefined || this.guest.port.attached) return;
    this.#conclude(this.#finder.find(this.#facts.address));
  }

  socketsChanged(): void {
    if (!this.#stopped) this.#conclude(this.guest);
  }

  stop(): void {
    this.#stopped = true;
    this.#finder.cancel(this);
    this.#finder.unawait(this);
    this.#sockets?.unwatch(this);
    this.#sockets = undefined;
  }

  found(guest: Neighbor): void {
    this.#conclude(guest);
  }

  notFound(): void {
    this.#conclude(undefined);
  }

  #conclude(guest: Neighbor | undefined): void {
    const before = this.state;
    const guestBefore = this.guest;
    this.guest = guest;
    this.#watch(this.#facts.port === 0 ? undefined : guest?.port.sockets);
    if (guest === undefined) this.#finder.await(this, this.#facts.address);
    else this.#finder.unawait(this);
    if (guest === undefined) this.state = 'no-guest';
    else this.state = this.#isDeaf(guest) ? 'deaf' : 'there';
    if (this.state !== before || guest !== guestBefore) this.#changed();
  }

  #watch(sockets: GuestSockets | undefined): void {
    if (sockets === this.#sockets) return;
    this.#sockets?.unwatch(this);
    this.#sockets = sockets;
    sockets?.watch(this);
  }

  /** None of the ports takes a connection. */
  #isDeaf(guest: Neighbor): boolean {
    const { port, count } = this.#facts;
    return this.#sockets?.deaf(guest.address, port, count) ?? false;
  }
}

/** What is seen of a guest's port; 'unknown' where nothing sees its sockets. */
export function listenState(guest: Neighbor, port: number): ListenState {
  return guest.port.sockets?.tcp(guest.address, port) ?? 'unknown';
}

/** Whether a client is taken: also for who listens at the guest's loopback, to which it is joined from within. */
export function takesConnections(state: ListenState): boolean {
  return state !== 'nobody';
}
