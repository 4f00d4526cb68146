import type { Arena } from '../env/arena.ts';
import type { Counters } from '../env/counters.ts';
import type { PieceList } from '../env/host.ts';
import type { Random } from '../env/random.ts';
import type { Turn } from '../turn/turn.ts';
import type { ChunkPool } from './chunk-pool.ts';
import type { GatherTable } from './gather.ts';
import type { SegmentOutput } from './segment-output.ts';
import type { WindowBudget } from './window-budget.ts';

/** What all connections of one network share. */
export interface TcpContext {
  readonly arena: Arena;
  readonly turn: Turn;
  readonly counters: Counters;
  readonly random: Random;
  readonly pool: ChunkPool;
  readonly budget: WindowBudget;
  readonly gather: GatherTable;
  /** Scratch for one `HostStream.write`. */
  readonly pieces: PieceList;
  readonly output: SegmentOutput;
  /** Room for CHUNK_BYTES that nobody keeps: what is dropped goes here. */
  readonly scratchAt: number;
}

/** The window scale we offer (RFC 7323 §2.3): 128-byte units reach 8 MiB, twice the largest window. */
export const WINDOW_SCALE = 7;
