import { readProc } from './proc/proc.ts';

const SIGHUP_BIT = 1n;
const O_ACCMODE = 3;
const O_WRONLY = 1;
/** Fields of proc(5)'s stat, counted from the one behind the name. */
const PARENT = 1;
const TERMINAL = 4;

/**
 * Whether SIGHUP was ignored when this process was started, as `nohup` and `trap '' HUP` do. Node forgets it: it gives
 * every signal but SIGPIPE its default action before the first line of ours runs. What is left to see, of a process
 * that has a terminal at all, is standard input open for writing only (nohup's way to make reading fail), and a parent
 * that ignores SIGHUP itself.
 */
export function hangupIsIgnored(): boolean {
  const fields = readProc('/proc/self/stat')
    .replace(/^.*\) /s, '')
    .split(' ');
  if (Number(fields[TERMINAL] ?? 0) === 0) return false;
  const flags = /^flags:\s+0([0-7]+)/m.exec(readProc('/proc/self/fdinfo/0'))?.[1] ?? '0';
  if ((Number.parseInt(flags, 8) & O_ACCMODE) === O_WRONLY) return true;
  const parent = readProc(`/proc/${fields[PARENT]}/status`);
  const ignored = /^SigIgn:\s+([0-9a-f]+)/m.exec(parent)?.[1] ?? '0';
  return (BigInt(`0x${ignored}`) & SIGHUP_BIT) !== 0n;
}
