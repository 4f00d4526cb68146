import type { HostErrorCode, HostStream, HostStreamHandler } from '../env/host.ts';
import type { BoundSockets, HostClient, HostListener, HostListenerHandler } from '../env/host-listener.ts';
import { Timer } from '../turn/timers.ts';
import type { ForwardContext } from './forward-context.ts';
import type { ForwardReport, ForwardRequest } from './forward-request.ts';
import { type DialFailure, type DialOwner, GuestDial } from './guest-dial.ts';
import { GuestWatch, type Reach } from './guest-watch.ts';
import { PrefixedStream } from './prefixed-stream.ts';
import { proxyHeader } from './proxy-header.ts';

/** In a range each held client tries its own port again, after pauses that double. */
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 2_000;
/** When the host does not let us listen again, it is asked again after this pause. */
const LISTEN_AGAIN_MS = 1_000;

/** A client that waits for its guest, `waitMs` at most. */
interface Held {
  readonly timer: Timer;
  readonly untilMs: number;
  pauseMs: number;
}

const REACH_OF: Readonly<Record<DialFailure, Exclude<Reach, 'unknown' | 'up'> | undefined>> = {
  'no-guest': 'no-guest',
  refused: 'refused',
  timeout: 'silent',
  limit: undefined,
};

const COUNTERS: Readonly<Record<DialFailure, string>> = {
  'no-guest': 'forward-no-guest',
  refused: 'forward-refused',
  timeout: 'forward-timeout',
  limit: 'forward-no-flow',
};

/**
 * Clients of the host's side (TCP or unix) joined to a guest's ports. The guest is dialled when a client was accepted; a
 * client whose guest refuses is reset at once, or held as long as `waitMs` says while the guest is tried again.
 *
 * Without `waitMs` nobody listens while the guest is known to be down, so clients get a true ECONNREFUSED. For a single port
 * GuestWatch and clients' connections tell whether it is down; for a range only whether the guest exists is known. Clients
 * that wait for a guest are bounded (`ForwardContext.waiting`), connections by TCP's flows.
 */
export class TcpForward implements HostListenerHandler, DialOwner {
  readonly #context: ForwardContext;
  readonly #request: ForwardRequest;
  readonly #watch: GuestWatch;
  readonly #isRange: boolean;
  readonly #dials = new Set<GuestDial>();
  /** Those of `#dials` whose guest has not accepted; with `waitMs` until when. */
  readonly #waiting = new Map<GuestDial, Held | undefined>();
  readonly #again: Timer = new Timer(() => this.#listen());
  readonly #looked: () => void;
  #listener: HostListener | undefined;
  /** Why the host does not let us listen. */
  #fault: HostErrorCode | undefined;

  /** `looked` hears once or more often that something is known of the guest. Follow with `open`. */
  constructor(context: ForwardContext, request: ForwardRequest, looked: () => void) {
    this.#context = context;
    this.#request = request;
    this.#looked = looked;
    const first = firstIndex(request.sockets);
    this.#isRange = first === undefined;
    const target = { address: request.guestAddress, port: first === undefined ? 0 : request.guestPort + first };
    this.#watch = new GuestWatch(context, target, () => this.#reachChanged());
  }

  /** Takes the sockets and looks at the guest. Returns what the host said when it cannot. */
  open(): HostErrorCode | undefined {
    const listener = this.#context.listeners.listenStreams(this.#request.sockets, this);
    if (typeof listener === 'string') return listener;
    this.#listener = listener;
    if (this.#request.waitMs > 0) this.#listen();
    this.#watch.look();
    return this.#fault;
  }

  /** Nobody is taken any more and who waits is turned away; established connections live on unless `connections`. */
  close(connections: boolean): void {
    this.#listener?.close();
    this.#listener = undefined;
    this.#watch.stop();
    this.#context.turn.timers.cancel(this.#again);
    for (const dial of [...(connections ? this.#dials : this.#waiting.keys())]) dial.abort();
  }

  guestCame(): void {
    this.#watch.guestCame();
  }

  guestLeft(): void {
    this.#watch.guestLeft();
  }

  report(): ForwardReport {
    const why = this.#why;
    const state = why === '' ? 'up' : 'down';
    return { id: this.#request.id, state, why, connections: this.#dials.size };
  }

  // ── what the listener says ──

  accepted(stream: HostStream, client: HostClient, index: number): HostStreamHandler | undefined {
    const { waitMs } = this.#request;
    const { counters, waiting, turn, clock } = this.#context;
    if (this.#listener === undefined) return undefined;
    turn.catchUp(clock.nowMs());
    if (waitMs === 0 && this.#watch.isDown) {
      counters.add('forward-guest-down');
      return undefined;
    }
    if (!waiting.take(this.#waiting.size)) {
      counters.add('forward-waiting-limit');
      return undefined;
    }
    counters.add('forward-accepted');
    const dial = this.#dialFor(stream, client, index);
    this.#dials.add(dial);
    this.#waiting.set(dial, waitMs > 0 ? this.#hold(dial) : undefined);
    if (!this.#watch.isDown || this.#isRange) dial.begin();
    return dial.state === 'over' ? undefined : dial;
  }

  failed(code: HostErrorCode): void {
    if (this.#listener === undefined) return;
    this.#fault = code;
    this.#listener.close();
    this.#listener = undefined;
    this.#watch.stop();
    this.#tell();
    this.#looked();
  }

  // ── what becomes of clients ──

  established(dial: GuestDial): void {
    this.#release(dial);
    if (!this.#isRange) this.#watch.told('up');
  }

  unanswered(): void {
    if (!this.#isRange && this.#watch.reach === 'up') this.#watch.look();
  }

  unreached(dial: GuestDial, failure: DialFailure): void {
    this.#context.counters.add(COUNTERS[failure]);
    const held = this.#waiting.get(dial);
    const reach = REACH_OF[failure];
    if (reach !== undefined && (!this.#isRange || reach === 'no-guest')) this.#watch.told(reach);
    if (held === undefined || failure === 'limit') dial.abort();
    else if (this.#isRange) this.#armRetry(held);
  }

  ended(dial: GuestDial): void {
    this.#release(dial);
    this.#dials.delete(dial);
  }

  #dialFor(accepted: HostStream, client: HostClient, index: number): GuestDial {
    const { guestAddress, guestPort, source, proxy } = this.#request;
    const sourceAddress = this.#context.sources.addressFor(source, client.address);
    const target = { address: guestAddress, port: guestPort + index, sourceAddress, sourcePort: client.port };
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
      untilMs: turn.nowMs + waitMs,
      pauseMs: FIRST_RETRY_MS,
    };
    turn.timers.arm(held.timer, waitMs);
    return held;
  }

  #armRetry(held: Held): void {
    const { turn } = this.#context;
    turn.timers.arm(held.timer, Math.min(held.pauseMs, Math.max(0, held.untilMs - turn.nowMs)));
    held.pauseMs = Math.min(LAST_RETRY_MS, held.pauseMs * 2);
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

  /** It waits for no guest any more. */
  #release(dial: GuestDial): void {
    const held = this.#waiting.get(dial);
    if (!this.#waiting.delete(dial)) return;
    this.#context.waiting.give();
    if (held !== undefined) this.#context.turn.timers.cancel(held.timer);
  }

  // ── listening or not ──

  #reachChanged(): void {
    if (this.#listener === undefined) return;
    if (this.#watch.isDown && this.#request.waitMs === 0) this.#listener.pause();
    if (this.#watch.reach === 'up') {
      this.#listen();
      if (!this.#isRange) for (const dial of [...this.#waiting.keys()]) dial.begin();
    }
    this.#tell();
    this.#looked();
  }

  #listen(): void {
    if (this.#listener === undefined || (this.#watch.isDown && this.#request.waitMs === 0)) return;
    this.#fault = this.#listener.resume();
    if (this.#fault !== undefined) this.#context.turn.timers.arm(this.#again, LISTEN_AGAIN_MS);
    this.#tell();
  }

  /** Why the host keeps it down, for good (then there is no listener any more) or for now. */
  get fault(): HostErrorCode | undefined {
    return this.#fault;
  }

  get #why(): string {
    return this.#fault === undefined ? this.#watch.why : `the host refuses to listen (${this.#fault})`;
  }

  #tell(): void {
    this.#context.changed(this.report());
  }
}

/** The place that all sockets share; undefined for a range. */
function firstIndex(sockets: BoundSockets): number | undefined {
  const places = sockets.kind === 'descriptors' ? sockets.index : sockets.addresses.map(({ index }) => index);
  return places.every((place) => place === places[0]) ? (places[0] ?? 0) : undefined;
}
