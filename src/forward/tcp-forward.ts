import type { HostErrorCode, HostStream, HostStreamHandler } from '../env/host.ts';
import type { HostClient, HostListener, HostListenerHandler } from '../env/host-listener.ts';
import type { Neighbor } from '../ip/neighbor.ts';
import { Timer } from '../turn/timers.ts';
import type { AllowanceHolder } from './allowance.ts';
import type { ForwardContext } from './forward-context.ts';
import { reportOf } from './forward-report.ts';
import type { ForwardReport, ForwardRequest } from './forward-request.ts';
import { ForwardTarget } from './forward-target.ts';
import { type DialFailure, type DialOwner, GuestDial } from './guest-dial.ts';
import { placesOf } from './places.ts';
import { PrefixedStream } from './prefixed-stream.ts';
import { proxyHeader } from './proxy-header.ts';
import { shownClient } from './shown-client.ts';

/** A held client tries again after an eighth of the time that it has waited, within these bounds. */
const FIRST_RETRY_MS = 40;
const LAST_RETRY_MS = 1_000;
/** All held clients together try no more than a hundred times a second. */
const RETRY_MS_PER_CLIENT = 10;
/**
 * Clients that are joined to their guest at once when it is known to be there, and the pause until the next of them.
 */
const BEGIN_AT_ONCE = 16;
const BEGIN_MS = 4;
/** When the host does not let us listen again, it is asked again after this pause. */
const LISTEN_AGAIN_MS = 1_000;

/** A client that waits for its guest, `waitMs` at most. */
interface Held {
  readonly timer: Timer;
  readonly sinceMs: number;
  readonly untilMs: number;
}

const COUNTERS: Readonly<Record<DialFailure, string>> = {
  'no-guest': 'forward-no-guest',
  refused: 'forward-refused',
  timeout: 'forward-timeout',
  limit: 'forward-no-flow',
};

/**
 * Clients of the host's side (TCP or unix) joined to a guest's ports. The guest is dialled when a client was accepted;
 * a client whose guest refuses is reset at once, or held as long as `waitMs` says while the guest is tried again. A
 * guest that does not answer keeps its client waiting, as TCP does.
 *
 * Without `waitMs` nobody listens while it is known for sure that nobody would take a client (ForwardTarget), so
 * clients get a true ECONNREFUSED. What becomes of one client never counts for another. Clients that wait for a guest
 * are bounded (`ForwardContext.waiting`; the one that has waited longest makes room), connections by TCP's flows.
 */
export class TcpForward implements HostListenerHandler, DialOwner, AllowanceHolder {
  readonly #context: ForwardContext;
  readonly #request: ForwardRequest;
  readonly #target: ForwardTarget;
  readonly #dials = new Set<GuestDial>();
  /** Those of `#dials` whose guest has not accepted, the oldest first; with `waitMs` until when. */
  readonly #waiting = new Map<GuestDial, Held | undefined>();
  readonly #again: Timer = new Timer(() => this.#listen());
  /** Of `#waiting` those that need not wait for their own time. */
  readonly #next = new Set<GuestDial>();
  readonly #pace: Timer = new Timer(() => this.#beginNext());
  readonly #looked: () => void;
  #listener: HostListener | undefined;
  /** Why the host does not let us listen. */
  #fault: HostErrorCode | undefined;

  /** `looked` hears once or more often that something is known of the guest. Follow with `open`. */
  constructor(context: ForwardContext, request: ForwardRequest, looked: () => void) {
    this.#context = context;
    this.#request = request;
    this.#looked = looked;
    const { first, count } = placesOf(request.sockets);
    const facts = { address: request.guestAddress, port: request.guestPort + first, count };
    this.#target = new ForwardTarget(context.guests, facts, () => this.#reachChanged());
  }

  /** Takes the sockets and looks at the guest. Returns what the host said when it cannot. */
  open(): HostErrorCode | undefined {
    const listener = this.#context.listeners.listenStreams(this.#request.sockets, this);
    if (typeof listener === 'string') return listener;
    this.#listener = listener;
    this.#context.waiting.join(this);
    if (this.#request.waitMs > 0) this.#listen();
    this.#target.look();
    return this.#fault;
  }

  /** Nobody is taken any more and who waits is turned away; established connections live on unless `connections`. */
  close(connections: boolean): void {
    this.#listener?.close();
    this.#listener = undefined;
    this.#target.stop();
    this.#context.turn.timers.cancel(this.#again);
    this.#context.turn.timers.cancel(this.#pace);
    for (const dial of [...(connections ? this.#dials : this.#waiting.keys())]) dial.abort();
    this.#context.waiting.leave(this);
  }

  heard(neighbor: Neighbor): void {
    this.#target.heard(neighbor);
  }

  guestLeft(): void {
    this.#target.guestLeft();
  }

  report(): ForwardReport {
    const { id } = this.#request;
    return reportOf(this.#context, this.#target, { id, why: this.#why, connections: this.#dials.size });
  }

  // ── places that clients take while they wait ──

  get held(): number {
    return this.#waiting.size;
  }

  giveUp(): boolean {
    for (const dial of this.#waiting.keys()) {
      this.#context.counters.add('forward-waiting-evicted');
      dial.abort();
      return true;
    }
    return false;
  }

  // ── what the listener says ──

  accepted(stream: HostStream, client: HostClient, index: number): HostStreamHandler | undefined {
    const { waitMs } = this.#request;
    const { counters, waiting, turn, clock } = this.#context;
    if (this.#listener === undefined) return undefined;
    turn.catchUp(clock.nowMs());
    if (waitMs === 0 && this.#target.isDown) {
      counters.add('forward-guest-down');
      this.#refused(client, this.#why);
      return undefined;
    }
    if (!waiting.take(this)) {
      counters.add('forward-waiting-limit');
      this.#refused(client, 'too many clients wait');
      return undefined;
    }
    counters.add('forward-accepted');
    const dial = this.#dialFor(stream, client, index);
    this.#dials.add(dial);
    this.#waiting.set(dial, waitMs > 0 ? this.#hold(dial) : undefined);
    if (!this.#target.isDown) dial.begin();
    return dial.state === 'over' ? undefined : dial;
  }

  failed(code: HostErrorCode): void {
    if (this.#listener === undefined) return;
    this.#fault = code;
    this.#listener.close();
    this.#listener = undefined;
    this.#target.stop();
    this.#tell();
    this.#looked();
  }

  // ── what becomes of clients ──

  /** Others that are held for the same port need not wait for their own time. */
  established(dial: GuestDial): void {
    this.#release(dial);
    if (this.#request.waitMs === 0) return;
    for (const other of this.#waiting.keys()) if (other.target.port === dial.target.port) this.#next.add(other);
    this.#beginNext();
  }

  unreached(dial: GuestDial, failure: DialFailure): void {
    this.#context.counters.add(COUNTERS[failure]);
    const held = this.#waiting.get(dial);
    if (held === undefined || failure === 'limit') dial.abort();
    else if (!this.#target.isDown) this.#armRetry(held);
  }

  ended(dial: GuestDial): void {
    this.#release(dial);
    this.#dials.delete(dial);
  }

  /** For debug logs only. */
  #refused({ address, port }: HostClient, why: string): void {
    this.#context.log.debug?.('client not connected', { client: shownClient(address, port), ms: 0, why });
  }

  #dialFor(accepted: HostStream, client: HostClient, index: number): GuestDial {
    const { guestAddress, guestPort, source, proxy } = this.#request;
    const { address: clientAddress, port: clientPort } = client;
    const target = { address: guestAddress, port: guestPort + index, source, clientAddress, clientPort };
    const dial = new GuestDial(this.#context, this, target);
    const { arena, turn } = this.#context;
    if (proxy === 'none') dial.carry(accepted);
    else dial.carry(new PrefixedStream(accepted, proxyHeader(proxy, client), arena.bytes, turn, dial), accepted);
    return dial;
  }

  /** From here on time works for the client: it is tried again, and at the end turned away. */
  #hold(dial: GuestDial): Held {
    const { turn } = this.#context;
    const { waitMs } = this.#request;
    const held: Held = {
      timer: new Timer(() => this.#heldLonger(dial, held)),
      sinceMs: turn.nowMs,
      untilMs: turn.nowMs + waitMs,
    };
    turn.timers.arm(held.timer, waitMs);
    return held;
  }

  #armRetry(held: Held): void {
    const { turn, waiting } = this.#context;
    const pauseMs = Math.min(LAST_RETRY_MS, Math.max(FIRST_RETRY_MS, (turn.nowMs - held.sinceMs) / 8));
    const fairMs = Math.max(pauseMs, waiting.used * RETRY_MS_PER_CLIENT);
    turn.timers.arm(held.timer, Math.min(fairMs, Math.max(0, held.untilMs - turn.nowMs)));
  }

  #heldLonger(dial: GuestDial, held: Held): void {
    const { turn, counters } = this.#context;
    if (turn.nowMs < held.untilMs) {
      turn.timers.arm(held.timer, held.untilMs - turn.nowMs);
      dial.begin();
      return;
    }
    counters.add('forward-waited-in-vain');
    dial.abort();
  }

  /** Some of them, a few at a time: a thousand that waited for one program cost no one else a turn. */
  #beginNext(): void {
    if (this.#pace.armed) return;
    let left = BEGIN_AT_ONCE;
    for (const dial of this.#next) {
      if (left-- === 0) {
        this.#context.turn.timers.arm(this.#pace, BEGIN_MS);
        return;
      }
      this.#next.delete(dial);
      dial.begin();
    }
  }

  /** It waits for no guest any more. */
  #release(dial: GuestDial): void {
    this.#next.delete(dial);
    const held = this.#waiting.get(dial);
    if (!this.#waiting.delete(dial)) return;
    this.#context.waiting.give();
    if (held !== undefined) this.#context.turn.timers.cancel(held.timer);
  }

  // ── listening or not ──

  #reachChanged(): void {
    if (this.#listener === undefined) return;
    if (this.#target.isDown) {
      if (this.#request.waitMs === 0) this.#listener.pause();
    } else {
      this.#listen();
      for (const dial of this.#waiting.keys()) this.#next.add(dial);
      this.#beginNext();
    }
    this.#tell();
    this.#looked();
  }

  #listen(): void {
    if (this.#listener === undefined || (this.#target.isDown && this.#request.waitMs === 0)) return;
    this.#fault = this.#listener.resume();
    if (this.#fault !== undefined) this.#context.turn.timers.arm(this.#again, LISTEN_AGAIN_MS);
    this.#tell();
  }

  /** Why the host keeps it down, for good (then there is no listener any more) or for now. */
  get fault(): HostErrorCode | undefined {
    return this.#fault;
  }

  get #why(): string {
    return this.#fault === undefined ? this.#target.why : `the host refuses to listen (${this.#fault})`;
  }

  #tell(): void {
    this.#context.changed(this.report());
  }
}
