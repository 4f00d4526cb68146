import { setImmediate } from 'node:timers/promises';
import { Counters } from '../../../src/env/counters.ts';
import type { HostPipe, HostPipeHandler } from '../../../src/env/host.ts';
import { DescriptorTable } from '../../../src/host/epoll/descriptors.ts';
import { EpollHost } from '../../../src/host/epoll/engine.ts';
import { KernelMemory, type NativeArena } from '../../../src/host/epoll/kernel-memory.ts';
import * as libc from '../../../src/host/epoll/libc.ts';
import { openListeningSocket } from '../../../src/host/epoll/listener.ts';
import { Poller } from '../../../src/host/epoll/poller.ts';
import { PlainArena } from '../../support/plain-arena.ts';
import type { Harness, HarnessOptions } from '../suite/harness.ts';

const ARENA_BYTES = 24 * 2 ** 20;
const UNTIL_MS = 10_000;

/** An arena that the kernel may write to, without the WASM build. */
class NativePlainArena extends PlainArena implements NativeArena {
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
  const poller = new Poller(memory, descriptors, { nowMs: () => performance.now() });
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

  async function close(): Promise<void> {
    poller.close();
    for (const fd of descriptors.list('flow', 'guest', 'tap', 'listener', 'other')) {
      descriptors.forget(fd);
      libc.close(fd);
    }
  }

  return { host, arena, memory, poller, descriptors, counters, poll, until, listenPipes, close };
}
