import type { Neighbor } from '../ip/neighbor.ts';
import type { FlowOpener, OpenedFlow, OpenFailure } from '../tcp/flow-opener.ts';
import { Timer } from '../turn/timers.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import type { ForwardContext } from './forward-context.ts';
import { FIRST_GUEST, type GuestWaiter } from './guest-finder.ts';
import { SOURCE_PORT_TRIES } from './source-addresses.ts';

/** Pause between two looks at a guest that is down; it doubles from the first to the last. */
const FIRST_LOOK_MS = 250;
const LAST_LOOK_MS = 2_000;

/** What is known of a target. */
export type Reach = 'unknown' | 'up' | 'no-guest' | 'refused' | 'silent';

/** What a watch looks at. */
export interface WatchTarget {
  /** IPv4, or FIRST_GUEST. */
  readonly address: number;
  /** 0: whether the guest is there at all. */
  readonly port: number;
}

/**
 * Knows whether a guest's port takes connections. It looks when told to and, while the target is down, by itself. A look is
 * a SYN from the gateway; a SYN-ACK is answered by a RST, so the guest's program never sees it. A guest that does not answer
 * within a second is silent. While the target is up there are no looks: the clients' connections show how it is.
 */
export class GuestWatch implements FlowOpener, GuestWaiter {
  reach: Reach = 'unknown';
  readonly #context: ForwardContext;
  readonly #target: WatchTarget;
  readonly #changed: () => void;
  readonly #next: Timer = new Timer(() => this.look());
  #pauseMs = FIRST_LOOK_MS;
  #state: 'idle' | 'finding' | 'probing' | 'stopped' = 'idle';
  #probe: OpenedFlow | undefined;

  constructor(context: ForwardContext, target: WatchTarget, changed: () => void) {
    this.#context = context;
    this.#target = target;
    this.#changed = changed;
  }

  get isDown(): boolean {
    return this.reach !== 'up' && this.reach !== 'unknown';
  }

  /** A sentence for a person about what keeps it down; '' while it is up. */
  get why(): string {
    return sentenceAbout(this.reach, this.#target);
  }

  /** Looks now, unless it is looking. */
  look(): void {
    if (this.#state !== 'idle') return;
    this.#context.turn.timers.cancel(this.#next);
    const guest = this.#context.guests.resolve(this.#target.address, this);
    if (guest === 'none') this.#conclude('no-guest');
    else if (guest === 'asking') this.#state = 'finding';
    else this.found(guest);
  }

  /** A guest joined or spoke: it may be the one that is missed. */
  guestCame(): void {
    if (this.reach === 'no-guest') this.look();
  }

  /** A guest left: it may be this one. */
  guestLeft(): void {
    if (this.reach === 'up' && this.#context.guests.find(this.#target.address) === undefined) this.look();
  }

  /** A client's connection has shown how the target is. */
  told(reach: 'up' | 'no-guest' | 'refused' | 'silent'): void {
    if (this.#state === 'stopped' || (this.reach === reach && this.#state === 'idle')) return;
    this.#giveUp();
    this.#conclude(reach);
  }

  stop(): void {
    this.#giveUp();
    this.#state = 'stopped';
    this.#context.turn.timers.cancel(this.#next);
  }

  found(neighbor: Neighbor): void {
    const { sources, tcp } = this.#context;
    if (this.#target.port === 0) {
      this.#conclude('up');
      return;
    }
    this.#state = 'probing';
    for (let attempt = 0; attempt < SOURCE_PORT_TRIES; attempt++) {
      const local = sources.portFor(attempt, sources.gateway, 0);
      const flow = tcp.openFor(this, neighbor, this.#target.port, sources.gateway, local, undefined);
      if (flow === 'in-use') continue;
      // No flow was left for the look, so nothing new is known.
      if (typeof flow === 'string') break;
      this.#probe = flow;
      return;
    }
    this.#conclude(this.reach);
  }

  notFound(): void {
    this.#conclude('no-guest');
  }

  established(): void {
    this.#probe = undefined;
    this.#conclude('up');
  }

  unanswered(): void {
    this.#giveUp();
    this.#conclude('silent');
  }

  notOpened(reason: OpenFailure): void {
    if (this.#probe === undefined) return;
    this.#probe = undefined;
    this.#conclude(reason === 'refused' ? 'refused' : 'silent');
  }

  ended(): void {}

  #giveUp(): void {
    if (this.#state === 'finding') this.#context.guests.cancel(this);
    const probe = this.#probe;
    this.#probe = undefined;
    probe?.abort();
  }

  #conclude(reach: Reach): void {
    const before = this.reach;
    this.#state = 'idle';
    this.reach = reach;
    if (reach === 'up') {
      this.#pauseMs = FIRST_LOOK_MS;
      this.#context.turn.timers.cancel(this.#next);
    } else {
      this.#context.turn.timers.arm(this.#next, this.#pauseMs);
      this.#pauseMs = Math.min(LAST_LOOK_MS, this.#pauseMs * 2);
    }
    if (before !== reach) this.#changed();
  }
}

function sentenceAbout(reach: Reach, { address, port }: WatchTarget): string {
  const first = address === FIRST_GUEST;
  const place = first ? 'the guest' : formatIpv4Address(address);
  if (reach === 'up') return '';
  if (reach === 'no-guest') return first ? 'no guest is there' : `no guest has ${place}`;
  if (reach === 'refused')
    return first ? `the guest refuses connections at port ${port}` : `${place}:${port} refuses connections`;
  const where = first || port === 0 ? place : `${place}:${port}`;
  return reach === 'silent'
    ? `${where} does not answer${first ? ` at port ${port}` : ''}`
    : `${where} has not answered yet`;
}
