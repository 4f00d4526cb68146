/**
 * The network thread's entry: builds the arena, the host engine and the network, then turns until asked to stop. It
 * speaks to control by requests and events only; nothing here writes to a stream (console.log in a thread that sleeps
 * in epoll_wait prints nothing).
 */
import { workerData } from 'node:worker_threads';
import type { LeaseChange } from '../dhcp/lease-record.ts';
import type { Clock } from '../env/clock.ts';
import { Counters } from '../env/counters.ts';
import type { Log, LogFields } from '../env/log.ts';
import type { ForwardChange } from '../forward/forward-request.ts';
import { LoopControl } from '../host/epoll/loop.ts';
import { WasmArena } from '../host/memory/arena.ts';
import { sitInOneCall } from '../host/one-call.ts';
import { CoreNetwork } from '../network/core-network.ts';
import { Timer } from '../turn/timers.ts';
import { TokenBucket } from '../turn/token-bucket.ts';
import type { Turn } from '../turn/turn.ts';
import { Answers } from './answers.ts';
import { BatchedRandom } from './batched-random.ts';
import { CounterLog } from './counter-log.ts';
import { ServiceOutbox } from './service-outbox.ts';
import { ServiceReplies } from './service-replies.ts';
import type { Inbox, ThreadEngine } from './thread-engine.ts';
import type { FromNetwork, NetworkEvents, ServiceDatagram, ThreadData } from './thread-mail.ts';
import { ownThreadId } from './thread-progress.ts';
import { ThreadState } from './thread-state.ts';
import { TurnBatch } from './turn-batch.ts';

/**
 * Address space, not memory: pages are given as they are touched. 64 guests of 4 MiB, the receive area, and the flows'
 * overflow.
 */
const ARENA_BYTES = 1024 * 2 ** 20;

/** Between two looks at the counters. */
const LOOK_MS = 1000;

/** Lines for debugging that one second may have: more cost the daemon more than they tell a person. */
const DEBUG_LINES_A_SECOND = 500;

const data = workerData as ThreadData;
const state = new ThreadState(data.state);
state.setThread(ownThreadId());

try {
  await run();
} finally {
  state.setEnded();
}
// Sockets of the portable engine would keep the thread alive. In a Worker this ends the thread only.
process.exit(0);

async function run(): Promise<void> {
  const { config } = data;
  const clock: Clock = { nowMs: () => performance.now() };
  const counters = new Counters();
  const control = new LoopControl(data.loop);
  const arena = new WasmArena(ARENA_BYTES);
  const engine = await makeEngine(arena, clock, counters, control);
  engine.onNetworkChange(() => tell('networkChanged'));
  const log = threadLog(clock, counters);
  const datagrams = new TurnBatch<ServiceDatagram>((datagrams) => tell('datagrams', datagrams));
  const leases = new TurnBatch<LeaseChange>((changes) => tell('leases', changes));
  const forwards = new TurnBatch<ForwardChange>((changes) => tell('forwards', changes));
  const network = new CoreNetwork(
    {
      arena,
      clock,
      random: new BatchedRandom(),
      log,
      counters,
      host: engine.host,
      services: new ServiceOutbox(arena, counters, state, datagrams),
      beat: () => control.beat(),
    },
    {
      ...config.network,
      hostLoopback: config.hostLoopback,
      limits: config.limits,
      dhcp: config.dhcp,
      onLease: (change) => leases.add(change),
      onForward: (change) => forwards.add(change),
    },
  );
  for (const batch of [datagrams, leases, forwards]) batch.flushWith(network.turn);
  watchCounters(network.turn, new CounterLog(counters, log));
  const inbox = openInbox(
    new Answers(network, engine, (answers) => send({ kind: 'answers', answers })),
    new ServiceReplies(arena, counters, network),
  );
  send({ kind: 'ready', wakeDescriptor: engine.wakeDescriptor });
  await engine.run(network.turn, inbox);
  // Guests that go on living learn at once that their connections are gone.
  network.abort();
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

function openInbox(answers: Answers, replies: ServiceReplies): Inbox {
  return {
    receive(mail) {
      misbehaveIfAsked();
      if (mail?.kind === 'requests') answers.answer(mail.requests);
      else if (mail?.kind === 'replies') for (const reply of mail.replies) replies.send(reply);
    },
    get pending() {
      return answers.pending;
    },
  };
}

function send(mail: FromNetwork): void {
  data.port.postMessage(mail);
}

function tell<N extends keyof NetworkEvents>(name: N, ...facts: Parameters<NetworkEvents[N]>): void {
  data.port.postMessage({ kind: 'event', name, facts });
}

function threadLog(clock: Clock, counters: Counters): Log {
  const lines = new TokenBucket(DEBUG_LINES_A_SECOND, DEBUG_LINES_A_SECOND);
  const debug = (text: string, fields?: LogFields): void => {
    if (lines.take(clock.nowMs())) tell('log', 'debug', text, fields);
    else counters.add('debug-line-left-out');
  };
  return {
    get debug() {
      return state.debug ? debug : undefined;
    },
    info: (text, fields) => tell('log', 'info', text, fields),
    warn: (text, fields) => tell('log', 'warn', text, fields),
  };
}

/** Reachable only through `NetworkControl.fault`, for the tests of recovery. */
function misbehaveIfAsked(): void {
  if (state.fault === 'throw') throw new Error('a fault that a test asked for');
  if (state.fault === 'block') sitInOneCall();
  while (state.fault === 'spin');
}
