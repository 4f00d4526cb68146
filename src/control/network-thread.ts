/**
 * The network thread's entry: builds the arena, the host engine and the network, then turns until asked to stop. It
 * speaks to control by messages only; nothing here writes to a stream (console.log in a thread that sleeps in epoll_wait
 * prints nothing).
 */
import { workerData } from 'node:worker_threads';
import { SlipwayError } from '../config/errors.ts';
import type { Clock } from '../env/clock.ts';
import { Counters } from '../env/counters.ts';
import type { Log } from '../env/log.ts';
import { LoopControl } from '../host/epoll/loop.ts';
import { WasmArena } from '../host/memory/arena.ts';
import { assembleNetwork, type Network } from './assemble-network.ts';
import { BatchedRandom } from './batched-random.ts';
import { LeaseOutbox } from './lease-outbox.ts';
import type { FromNetwork, PlainError, Request, ThreadData, ToNetwork } from './messages.ts';
import { ServiceOutbox } from './service-outbox.ts';
import type { ThreadEngine } from './thread-engine.ts';
import { ThreadState } from './thread-state.ts';

/** Address space, not memory: pages are given as they are touched. 64 guests of 4 MiB, the receive area, and the flows' overflow. */
const ARENA_BYTES = 1024 * 2 ** 20;

const data = workerData as ThreadData;
const state = new ThreadState(data.state);

try {
  await live();
} finally {
  state.end();
}
// Sockets of the portable engine would keep the thread alive. In a Worker this ends the thread only.
process.exit(0);

async function live(): Promise<void> {
  const clock: Clock = { nowMs: () => performance.now() };
  const counters = new Counters();
  const control = new LoopControl(data.loop);
  const arena = new WasmArena(ARENA_BYTES);
  const engine = await makeEngine(arena, clock, counters, control);
  engine.onNetworkChange(() => tell({ type: 'network-changed' }));
  const services = new ServiceOutbox(arena, counters, state, tell);
  const leases = new LeaseOutbox(tell);
  const network = assembleNetwork({
    arena,
    clock,
    random: new BatchedRandom(),
    log: messageLog(),
    counters,
    host: engine.host,
    services,
    config: data.config,
    onLease: (change) => leases.add(change),
  });
  services.flushWith(network.turn);
  leases.flushWith(network.turn);
  tell({ type: 'ready', wakeDescriptor: engine.wakeDescriptor });
  await engine.run(network.turn, (message) => receive(network, engine, message));
  // Guests that go on living learn at once that their connections are gone.
  network.destroy();
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

function messageLog(): Log {
  return {
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
  // Only the portable engine answers later; under epoll no promise would ever settle.
  if (answer instanceof Promise)
    answer.then(
      (value: unknown) => tell({ type: 'answer', id, answer: value }),
      (error: unknown) => refuse(id, error),
    );
  else tell({ type: 'answer', id, answer });
}

function serve(network: Network, engine: ThreadEngine, request: Request): unknown {
  switch (request.type) {
    case 'listen': {
      const { url } = request.listen;
      return engine.listen(request.listen, (pipe) => network.attachQemu(pipe, url.text));
    }
    case 'attach-tap':
      engine.attachTap(request.tap, (pipe) => network.attachTap(pipe, request.tap));
      return null;
    case 'reserve-leases':
      for (const { mac, address } of request.leases) network.reserveLease(mac, address);
      return null;
    case 'restore-leases':
      return network.restoreLeases(request.leases);
    case 'status':
      return network.status();
  }
}

function refuse(id: number, error: unknown): void {
  const plain: PlainError =
    error instanceof SlipwayError
      ? { message: error.message, code: error.code, hint: error.hint }
      : { message: error instanceof Error ? error.message : String(error) };
  tell({ type: 'refusal', id, error: plain });
}

/** Reachable only through `NetworkControl.fault`, for the tests of recovery. */
function misbehaveIfAsked(): void {
  if (state.fault === 'throw') throw new Error('a fault that a test asked for');
  while (state.fault === 'spin');
}
