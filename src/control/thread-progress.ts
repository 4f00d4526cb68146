import { readlinkSync } from 'node:fs';
import { readProc } from '../host/proc/proc.ts';

/** What the kernel says of a thread at one moment. */
interface Sample {
  readonly gone: boolean;
  /**
   * It waits inside of a system call (S and D of proc(5)); one that wants a processor is R, whether it has one or not.
   */
  readonly waits: boolean;
  readonly cpuMs: number;
  /** How often it was given a processor so far. */
  readonly runs: number;
}

/** What became of a thread since it last gave a sign of life. */
export interface Idleness {
  /** Processor time that it took. */
  readonly busyMs: number;
  /** Looks in a row at which it sat in the same system call as at the look before, without having run in between. */
  readonly blockedLooks: number;
  /** It was there and has ended. */
  readonly gone: boolean;
}

/** USER_HZ, which proc(5) counts in: 100 on every architecture that Node runs on. */
const MS_PER_TICK = 10;
/** Fields of proc(5)'s stat, counted from the one behind the name. */
const STATE = 0;
const USER_TICKS = 11;
const SYSTEM_TICKS = 12;

/**
 * Tells a thread that is stuck from one that is slow, by what it does and not by how long it takes: on a loaded machine
 * a thread that wants a processor gets none for seconds. Two things are no progress: much processor time without a sign
 * of life (a loop that never comes back), and no processor time at all while it sits in a system call.
 *
 * Where there is no /proc, every look without a sign of life counts as blocked.
 */
export class ThreadProgress {
  readonly #thread: () => number;
  #sign: number | undefined;
  #cpuMs = 0;
  #runs = -1;
  #blockedLooks = 0;

  /** `thread` tells what `ownThreadId` said there; 0 as long as that is unknown. */
  constructor(thread: () => number) {
    this.#thread = thread;
  }

  /** One of a row of looks. Another `sign` than the last time is a sign of life. */
  look(sign: number): Idleness {
    const thread = this.#thread();
    const sample = thread === 0 ? undefined : sampleOf(thread);
    const cpuMs = sample?.cpuMs ?? 0;
    const ran = sample?.runs !== undefined && sample.runs !== this.#runs;
    if (sign !== this.#sign) {
      this.#sign = sign;
      this.#cpuMs = cpuMs;
      this.#blockedLooks = 0;
    } else {
      this.#blockedLooks = ran || sample?.waits === false ? 0 : this.#blockedLooks + 1;
    }
    this.#runs = sample?.runs ?? -1;
    return { busyMs: cpuMs - this.#cpuMs, blockedLooks: this.#blockedLooks, gone: sample?.gone === true };
  }
}

/** What the kernel calls the thread that asks; 0 where it does not tell. */
export function ownThreadId(): number {
  try {
    return Number(/\/task\/(\d+)$/.exec(readlinkSync('/proc/thread-self'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** One that has gone waits for nothing any more. */
function sampleOf(thread: number): Sample {
  const folder = `/proc/self/task/${thread}`;
  // The name before these fields may hold anything.
  const fields = readProc(`${folder}/stat`)
    .replace(/^.*\) /s, '')
    .split(' ');
  const switches = [...readProc(`${folder}/status`).matchAll(/ctxt_switches:\s+(\d+)/g)];
  const ticks = Number(fields[USER_TICKS] ?? 0) + Number(fields[SYSTEM_TICKS] ?? 0);
  return {
    gone: fields.length === 1,
    waits: /^[SD]$/.test(fields[STATE] ?? ''),
    cpuMs: ticks * MS_PER_TICK,
    runs: switches.reduce((sum, [, count]) => sum + Number(count), 0),
  };
}
