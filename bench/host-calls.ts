/**
 * What the calls of the epoll engine cost on loopback, per call and per byte: the numbers behind docs/performance.md's
 * account of a copied byte. Run it alone: `npm run build && npx node bench/host-calls.ts`.
 */
import { Counters } from '../src/env/counters.ts';
import { type HostStream, LOOPBACK4, type PieceList } from '../src/env/host.ts';
import { boundPort, openListeningSocket } from '../src/host/epoll/attachment-listener.ts';
import { DescriptorTable } from '../src/host/epoll/descriptors.ts';
import { EpollHost } from '../src/host/epoll/engine.ts';
import { KernelMemory } from '../src/host/epoll/kernel-memory.ts';
import * as libc from '../src/host/epoll/libc.ts';
import { Poller } from '../src/host/epoll/poller.ts';
import { WasmArena } from '../src/host/memory/arena.ts';

const ROUNDS = 20_000;
const SEGMENT = 1460;
const SLOTS = 64;
const PIECES = 45;
/** A slot holds a segment and its headers. */
const STRIDE = 1536;

const arena = new WasmArena(16 * 2 ** 20);
const memory = new KernelMemory(arena);
const descriptors = new DescriptorTable();
const poller = new Poller(memory, descriptors, { nowMs: () => performance.now() });
const host = new EpollHost({ memory, poller, descriptors, counters: new Counters(), services: new Map() });
const area = arena.allocate(8 * 2 ** 20);

/** A connection: the engine's end, and the other as a plain descriptor. */
function connect(): { stream: HostStream; peer: number } {
  const listener = openListeningSocket(memory, { kind: 'tcp', address: LOOPBACK4, port: 0 });
  if (typeof listener === 'string') throw new Error(listener);
  let connected = false;
  const stream = host.dial(LOOPBACK4, boundPort(memory, listener), 0, {
    connected: () => {
      connected = true;
    },
    failed: (code) => console.log('dial failed:', code),
    readable: () => {},
    writable: () => {},
  });
  if (typeof stream === 'string') throw new Error(stream);
  while (!connected) poller.wait(100);
  const peer = libc.accept4(listener, 0, 0, libc.SOCK_FLAGS);
  libc.close(listener);
  return { stream, peer };
}

/** Prints the mean of `spentMs` over ROUNDS calls that moved `bytes` each. */
function print(name: string, spentMs: number, bytes: number): void {
  const perCall = (spentMs * 1e6) / ROUNDS;
  const rate = bytes === 0 ? '' : `  ${((bytes * 8) / perCall).toFixed(1)} Gbit/s`;
  console.log(`${name.padEnd(44)}${perCall.toFixed(0).padStart(8)} ns${rate}`);
}

/** The far side sends between the timed calls, so that only ours are counted. */
function measurePeekAndConsume(): void {
  const { stream, peer } = connect();
  const bytes = SLOTS * SEGMENT;
  let peekMs = 0;
  let consumeMs = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (let sent = 0; sent < bytes; ) sent += libc.send(peer, memory.base + area, bytes - sent, libc.MSG_NOSIGNAL);
    const started = performance.now();
    let peeked = 0;
    while (peeked < bytes) {
      const slot = area + Math.floor(peeked / SEGMENT) * STRIDE;
      peeked += Math.max(0, stream.peekInto(peeked, slot, SEGMENT, STRIDE, SLOTS - Math.floor(peeked / SEGMENT)));
    }
    const between = performance.now();
    stream.consume(bytes);
    consumeMs += performance.now() - between;
    peekMs += between - started;
  }
  print(`peek ${SLOTS} slots of ${SEGMENT} bytes`, peekMs, bytes);
  print(`consume ${bytes} bytes`, consumeMs, 0);
  stream.abort();
  libc.close(peer);
}

function measureWrite(count: number, length: number): void {
  const { stream, peer } = connect();
  const list: PieceList = { at: new Int32Array(count), length: new Int32Array(count).fill(length), count };
  for (let i = 0; i < count; i++) list.at[i] = area + i * STRIDE;
  const bytes = count * length;
  let spentMs = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    const taken = stream.write(list);
    spentMs += performance.now() - started;
    if (taken !== bytes) throw new Error(`the kernel took ${taken} of ${bytes}`);
    for (let left = bytes; left > 0; ) left -= libc.recv(peer, 0, left, libc.MSG_TRUNC);
  }
  print(`write ${count} pieces of ${length} bytes`, spentMs, bytes);
  stream.abort();
  libc.close(peer);
}

function measureSmallCalls(): void {
  const { stream, peer } = connect();
  let started = performance.now();
  for (let round = 0; round < ROUNDS; round++) stream.peekInto(0, area, SEGMENT, STRIDE, SLOTS);
  print('peek 64 slots, nothing waits', performance.now() - started, 0);
  started = performance.now();
  for (let round = 0; round < ROUNDS; round++) poller.wait(0);
  print('wait, nothing happened', performance.now() - started, 0);
  stream.abort();
  libc.close(peer);
  started = performance.now();
  for (let round = 0; round < ROUNDS; round++) libc.close(-1);
  print('one FFI call that does nothing', performance.now() - started, 0);
}

measurePeekAndConsume();
measureWrite(PIECES, SEGMENT);
measureWrite(1, 1);
measureSmallCalls();
poller.close();
