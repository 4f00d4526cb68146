import { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { Counters } from '../../../src/env/counters.ts';
import { type HostAddress, type HostPipe, type HostPipeHandler, LOOPBACK6 } from '../../../src/env/host.ts';
import { boundPort, openListeningSocket } from '../../../src/host/epoll/attachment-listener.ts';
import { DescriptorTable } from '../../../src/host/epoll/descriptors.ts';
import { EpollHost } from '../../../src/host/epoll/engine.ts';
import { KernelMemory, type NativeArena } from '../../../src/host/epoll/kernel-memory.ts';
import * as libc from '../../../src/host/epoll/libc.ts';
import { errorCode } from '../../../src/host/errno.ts';
import { SO_REUSEADDR } from '../../../src/host/socket-options.ts';
import { Poller } from '../../../src/host/epoll/poller.ts';
import { PlainArena } from '../../support/plain-arena.ts';
import type { Bound, Harness, HarnessOptions, PeerConnection, Wanted } from '../suite/harness.ts';
import { NodePeerConnection } from '../suite/node-peers.ts';

const ARENA_BYTES = 24 * 2 ** 20;
const UNTIL_MS = 10_000;

/** An arena that the kernel may write to, without the WASM build. */
export class NativePlainArena extends PlainArena implements NativeArena {
  get baseBuffer(): ArrayBuffer {
    return this.bytes.buffer;
  }
}

export interface EpollHarness extends Harness {
  readonly host: EpollHost;
  readonly arena: NativeArena;
  readonly memory: KernelMemory;
  readonly poller: Poller;
  readonly descriptors: DescriptorTable;
  readonly counters: Counters;
  /** Moves the engine's clock ahead and lets it act on that. */
  pass(ms: number): void;
}

export interface EpollHarnessOptions extends HarnessOptions {
  /** False forces the retention ring that older kernels need. */
  readonly peekOffset?: boolean;
  readonly keepAliveSeconds?: number;
}

export function createEpollHarness(options: EpollHarnessOptions = { services: new Map() }): EpollHarness {
  const arena = new NativePlainArena(ARENA_BYTES);
  const memory = new KernelMemory(arena);
  const descriptors = new DescriptorTable();
  const counters = new Counters();
  let skippedMs = 0;
  const poller = new Poller(memory, descriptors, { nowMs: () => performance.now() + skippedMs });
  const host = new EpollHost({ ...options, memory, poller, descriptors, counters });

  // The engine's wait blocks this thread, where the peers live too: they take turns, a millisecond for the engine.
  async function poll(): Promise<void> {
    await setImmediate();
    poller.wait(1);
  }

  async function until(condition: () => boolean, what: string): Promise<void> {
    const deadline = performance.now() + UNTIL_MS;
    while (!condition()) {
      if (performance.now() > deadline) throw new Error(`waited 10 s in vain for: ${what}`);
      await poll();
    }
  }

  async function listenPipes(path: string, accept: (pipe: HostPipe) => HostPipeHandler): Promise<{ close(): void }> {
    const fd = openListeningSocket(memory, { kind: 'unix', path });
    if (typeof fd === 'string') throw new Error(`cannot listen at ${path}: ${fd}`);
    return host.listen(fd, accept);
  }

  /** As the control thread binds: a port known by its number, and nobody else's while it is ours. */
  function bindOne(type: number, address: HostAddress): { fd: number; port: number } {
    const family = address === LOOPBACK6 ? libc.AF_INET6 : libc.AF_INET;
    const bind = (port: number): number => {
      const fd = libc.socket(family, type | libc.SOCK_FLAGS, 0);
      memory.setOption(fd, SO_REUSEADDR, type === libc.SOCK_STREAM ? 1 : 0);
      const length = memory.writeAddress(memory.name, address, port);
      const bound = libc.bind(fd, memory.base + memory.name, length) === 0;
      memory.setOption(fd, SO_REUSEADDR, 0);
      if (bound) return fd;
      libc.close(fd);
      return -1;
    };
    for (;;) {
      const trial = bind(0);
      const port = boundPort(memory, trial);
      libc.close(trial);
      const fd = bind(port);
      if (fd >= 0) return { fd, port };
    }
  }

  async function bind(protocol: 'tcp' | 'udp', wanted: readonly Wanted[]): Promise<Bound> {
    const type = protocol === 'tcp' ? libc.SOCK_STREAM : libc.SOCK_DGRAM;
    const bound = wanted.map(({ address, index }) => ({ address, index, ...bindOne(type, address) }));
    const sockets = {
      kind: 'descriptors',
      fds: bound.map(({ fd }) => fd),
      index: bound.map(({ index }) => index),
    } as const;
    return { sockets, places: bound };
  }

  async function bindUnix(path: string): Promise<Bound> {
    const fd = libc.socket(libc.AF_UNIX, libc.SOCK_STREAM | libc.SOCK_FLAGS, 0);
    const length = memory.writeUnixAddress(path);
    if (libc.bind(fd, memory.base + memory.name, length) < 0) throw new Error(`cannot bind ${path}`);
    return { sockets: { kind: 'descriptors', fds: [fd], index: [0] }, places: [{ address: 0, port: 0, path }] };
  }

  async function pair(): Promise<{ fd: number; peer: PeerConnection }> {
    const [fd, other] = socketPair(memory);
    return { fd, peer: new NodePeerConnection(new Socket({ fd: other, allowHalfOpen: true }), false) };
  }

  function pass(ms: number): void {
    skippedMs += ms;
    poller.wait(0);
  }

  async function close(): Promise<void> {
    poller.close();
    for (const fd of descriptors.list('flow', 'guest', 'tap', 'listener', 'other')) {
      descriptors.forget(fd);
      libc.close(fd);
    }
  }

  return {
    host,
    arena,
    memory,
    poller,
    descriptors,
    counters,
    pass,
    poll,
    until,
    listenPipes,
    bind,
    bindUnix,
    pair,
    close,
  };
}

/** Both ends of connected unix stream sockets. */
export function socketPair(memory: KernelMemory): [number, number] {
  if (libc.socketpair(libc.AF_UNIX, libc.SOCK_STREAM | libc.SOCK_FLAGS, 0, memory.base + memory.scalar) < 0) {
    throw new Error(`no socket pair: ${errorCode(libc.errno())}`);
  }
  return [memory.i32(memory.scalar), memory.i32(memory.scalar + 4)];
}
