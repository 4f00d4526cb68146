/**
 * The network thread's entry: builds the arena, the host engine and the network, then turns until asked to stop. It
 * speaks to control by messages only; nothing here writes to a stream (console.log in a thread that sleeps in epoll_wait
 * prints nothing).
 */
import { workerData } from 'node:worker_threads';
import { SlipwayError } from '../facts/errors.ts';
import type { ServiceForward } from '../config/forward.ts';
import type { LeaseChange } from '../dhcp/lease-record.ts';
import type { Clock } from '../env/clock.ts';
import { Counters } from '../env/counters.ts';
import type { HostErrorCode } from '../env/host.ts';
import type { Log, LogFields } from '../env/log.ts';
import type { OwnListener } from '../flow/own-listeners.ts';
import type { ForwardChange, ForwardRequest } from '../forward/forward-request.ts';
import { LoopControl } from '../host/epoll/loop.ts';
import { WasmArena } from '../host/memory/arena.ts';
import { sitInOneCall } from '../host/one-call.ts';
import { Timer } from '../turn/timers.ts';
import { TokenBucket } from '../turn/token-bucket.ts';
import type { Turn } from '../turn/turn.ts';
import { assembleNetwork, type Network, socketService } from './assemble-network.ts';
import { BatchedRandom } from './batched-random.ts';
import { CounterLog } from './counter-log.ts';
import type {
  FromNetwork,
  Listening,
  ListenRequest,
  OwnPlace,
  PlainError,
  Request,
  ServiceDatagram,
  ThreadData,
  ToNetwork,
} from './messages.ts';
import { ServiceOutbox } from './service-outbox.ts';
import type { ThreadEngine } from './thread-engine.ts';
import { ownThreadId } from './thread-progress.ts';
import { ThreadState } from './thread-state.ts';
import { TurnBatch } from './turn-batch.ts';

type PortRequest = Exclude<
  Request,
  { readonly type: 'listen' | 'own-listeners' | 'attach-tap' | 'reserve-leases' | 'restore-leases' | 'status' }
>;

/** Address space, not memory: pages are given as they are touched. 64 guests of 4 MiB, the receive area, and the flows' overflow. */
const ARENA_BYTES = 1024 * 2 ** 20;

/** Between two looks at the counters. */
const LOOK_MS = 1000;

const data = workerData as ThreadData;
const state = new ThreadState(data.state);
state.setThread(ownThreadId());
/** Names in the engine's table of services that stand for unix sockets of the user's. */
const sockets = new Set<string>();

async function live(): Promise<void> {
  const clock: Clock = { nowMs: () => performance.now() };
  const counters = new Counters();
  const control = new LoopControl(data.loop);
  const arena = new WasmArena(ARENA_BYTES);
  const engine = await makeEngine(arena, clock, counters, control);
  engine.onNetworkChange(() => tell({ type: 'network-changed' }));
  const log = messageLog(clock, counters);
  const datagrams = new TurnBatch<ServiceDatagram>((datagrams) => tell({ type: 'datagrams', datagrams }));
  const leases = new TurnBatch<LeaseChange>((changes) => tell({ type: 'leases', changes }));
  const forwards = new TurnBatch<ForwardChange>((changes) => tell({ type: 'forward-state', changes }));
  const network = assembleNetwork({
    arena,
    clock,
    random: new BatchedRandom(),
    log,
    counters,
    host: engine.host,
    services: new ServiceOutbox(arena, counters, state, datagrams),
    beat: () => control.beat(),
    config: data.config,
    onLease: (change) => leases.add(change),
    onForward: (change) => forwards.add(change),
  });
  for (const batch of [datagrams, leases, forwards]) batch.flushWith(network.turn);
  watchCounters(network.turn, new CounterLog(counters, log));
  tell({ type: 'ready', wakeDescriptor: engine.wakeDescriptor });
  await engine.run(network.turn, (message) => receive(network, engine, message));
  // Guests that go on living learn at once that their connections are gone.
  network.destroy();
}

/** The loop wakes once a second in any case. */
function watchCounters(turn: Turn, counterLog: CounterLog): void {
  const timer = new Timer(() => {
    counterLog.look(turn.nowMs);
    turn.timers.arm(timer, LOOK_MS);
  });
  turn.timers.arm(timer, LOOK_MS);
}

async function makeEngine(
  arena: WasmArena,
  clock: Clock,
  counters: Counters,
  control: LoopControl,
): Promise<ThreadEngine> {
  if (data.engine === 'node') {
    const { NodeThread } = await import('./node-thread.ts');
    return new NodeThread(data, arena, clock, counters, control);
  }
  const { EpollThread } = await import('./epoll-thread.ts');
  return new EpollThread(data, arena, clock, counters, control);
}

function tell(message: FromNetwork): void {
  data.port.postMessage(message);
}

/** Lines for debugging that one second may have: more cost the daemon more than they tell a person. */
const DEBUG_LINES_A_SECOND = 500;

function messageLog(clock: Clock, counters: Counters): Log {
  const lines = new TokenBucket(DEBUG_LINES_A_SECOND, DEBUG_LINES_A_SECOND);
  const debug = (message: string, fields?: LogFields): void => {
    if (lines.take(clock.nowMs())) tell({ type: 'log', level: 'debug', message, ...(fields && { fields }) });
    else counters.add('debug-line-left-out');
  };
  return {
    debug: data.config.log.level === 'debug' ? debug : undefined,
    info: (message, fields) => tell({ type: 'log', level: 'info', message, ...(fields && { fields }) }),
    warn: (message, fields) => tell({ type: 'log', level: 'warn', message, ...(fields && { fields }) }),
  };
}

function receive(network: Network, engine: ThreadEngine, message: ToNetwork | undefined): void {
  misbehaveIfAsked();
  if (message === undefined || message.type === 'wake') return;
  if (message.type === 'replies') {
    for (const reply of message.replies) network.reply(reply);
    return;
  }
  const { id, request } = message;
  let answer: unknown;
  try {
    answer = serve(network, engine, request);
  } catch (error) {
    refuse(id, error);
    return;
  }
  // Only the portable engine makes promises; under epoll none would ever settle.
  if (answer instanceof Promise)
    answer.then(
      (value: unknown) => tell({ type: 'answer', id, answer: value }),
      (error: unknown) => refuse(id, error),
    );
  else if (answer instanceof Later)
    answer.begin({
      answer: (value) => tell({ type: 'answer', id, answer: value }),
      refuse: (error) => refuse(id, error),
    });
  else tell({ type: 'answer', id, answer });
}

/** How a request that waits for a guest is answered. */
interface Answering {
  answer(value: unknown): void;
  refuse(error: unknown): void;
}

/** What is answered in a later turn of the network, by a call. */
class Later {
  readonly begin: (answering: Answering) => void;

  constructor(begin: (answering: Answering) => void) {
    this.begin = begin;
  }
}

/** What the host said to a request, as its bare errno. */
class HostRefusal extends Error {
  readonly errno: HostErrorCode;

  constructor(message: string, errno: HostErrorCode) {
    super(`${message} (${errno})`);
    this.errno = errno;
  }
}

function serve(network: Network, engine: ThreadEngine, request: Request): unknown {
  switch (request.type) {
    case 'listen':
      return listen(network, engine, request.listen);
    case 'own-listeners':
      for (const place of request.places) network.addOwnListener(ownListener(place));
      return null;
    case 'adopt-guest':
      engine.taken(request.guest.fd);
      engine.adoptGuest(request.guest.fd, (pipe) => network.attachQemu(pipe, request.guest.name, false));
      return null;
    case 'attach-tap':
      engine.attachTap(request.tap, (pipe, sockets) => network.attachTap(pipe, request.tap, sockets));
      return null;
    case 'reserve-leases':
      for (const { mac, address } of request.leases) network.reserveLease(mac, address);
      return null;
    case 'restore-leases':
      return network.restoreLeases(request.leases);
    case 'status':
      return network.status();
    default:
      return servePorts(network, engine, request);
  }
}

/** No guest gets to where guests attach: known from the same moment on. */
function listen(network: Network, engine: ThreadEngine, request: ListenRequest): Listening | Promise<Listening> {
  const { url } = request;
  const own = (listening: Listening): Listening => {
    if (url.connect) return listening;
    const { target } = url;
    network.addOwnListener(
      ownListener(
        target.kind === 'unix'
          ? target
          : { kind: 'port', protocol: 'tcp', address: target.address, port: listening.port },
      ),
    );
    return listening;
  };
  const heard = (): boolean => performance.timeOrigin + performance.now() < (request.heardUntilMs ?? 0);
  const listening = engine.listen(request, (pipe) => network.attachQemu(pipe, url.text, heard()));
  return listening instanceof Promise ? listening.then(own) : own(listening);
}

/** As the core names them. */
function ownListener(place: OwnPlace): OwnListener {
  return place.kind === 'unix'
    ? { kind: 'socket', service: socketService(place.path) }
    : { kind: 'port', protocol: place.protocol, address: place.address, port: place.port };
}

/** What the tables of forwards and services ask, and who looks at flows. */
function servePorts(network: Network, engine: ThreadEngine, request: PortRequest): unknown {
  switch (request.type) {
    case 'forward-open':
      return openForward(network, request.forward);
    case 'forward-close':
      network.closeForward(request.id, request.connections);
      return null;
    case 'forward-list':
      return network.forwards();
    case 'guest-stream':
      engine.taken(request.stream.fd);
      return new Later(({ answer, refuse }) =>
        network.openGuestStream(request.stream, (error) => (error === undefined ? answer(null) : refuse(error))),
      );
    case 'services':
      setServices(network, engine, request.services);
      return null;
    case 'flows':
      return network.flows(request.limit);
    case 'flow-kill':
      return network.killFlow(request.flow);
  }
}

function openForward(network: Network, forward: ForwardRequest): Later {
  return new Later(({ answer, refuse }) =>
    network.openForward(forward, (outcome) => {
      if (typeof outcome === 'string') refuse(new HostRefusal('the host refuses the sockets of a forward', outcome));
      else answer(outcome);
    }),
  );
}

/** The engine dials unix sockets by name: those of the user's services come and go with the services. */
function setServices(network: Network, engine: ThreadEngine, services: readonly ServiceForward[]): void {
  for (const name of sockets) engine.services.delete(name);
  sockets.clear();
  for (const { target } of services) {
    if (target.kind !== 'unix') continue;
    const name = socketService(target.path);
    engine.services.set(name, target.path);
    sockets.add(name);
  }
  network.setServices(services);
}

function refuse(id: number, error: unknown): void {
  const plain: PlainError =
    error instanceof SlipwayError
      ? { message: error.message, code: error.code, hint: error.hint }
      : {
          message: error instanceof Error ? error.message : String(error),
          ...(error instanceof HostRefusal && { errno: error.errno }),
        };
  tell({ type: 'refusal', id, error: plain });
}

/** Reachable only through `NetworkControl.fault`, for the tests of recovery. */
function misbehaveIfAsked(): void {
  if (state.fault === 'throw') throw new Error('a fault that a test asked for');
  if (state.fault === 'block') sitInOneCall();
  while (state.fault === 'spin');
}

// Last: classes above exist only once the module has been read so far.
try {
  await live();
} finally {
  state.end();
}
// Sockets of the portable engine would keep the thread alive. In a Worker this ends the thread only.
process.exit(0);
