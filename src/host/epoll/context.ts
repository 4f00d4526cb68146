import type { Counters } from '../../env/counters.ts';
import type { DescriptorTable } from './descriptors.ts';
import type { KernelMemory } from './kernel-memory.ts';
import type { MessageTables } from './message-tables.ts';
import type { OpenStreams } from './open-streams.ts';
import type { Poller } from './poller.ts';

/** What every socket of one engine shares. */
export interface EpollContext {
  readonly memory: KernelMemory;
  readonly poller: Poller;
  /** Refilled by every call that uses them. */
  readonly tables: MessageTables;
  readonly descriptors: DescriptorTable;
  readonly counters: Counters;
  /** Families whose kernel peeks at an offset (SO_PEEK_OFF); others retain in a ring of their own. */
  readonly peekOffset: { readonly inet: boolean; readonly inet6: boolean; readonly unix: boolean };
  /** The TCP connections. */
  readonly streams: OpenStreams;
  /**
   * Seconds of silence before keepalive probes, and again until the connection is given up; with bytes in flight it is
   * given up after the first (`OpenStreams`). 0: neither.
   */
  readonly keepAliveSeconds: number;
}
