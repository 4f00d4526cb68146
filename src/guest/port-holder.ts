import path from 'node:path';
import { processWithSocket, readProc } from '../host/proc/proc.ts';

/** TCP_LISTEN of <net/tcp_states.h>, as /proc/net/tcp prints it. */
const LISTEN = '0A';

/**
 * Who has the port, as "dnsmasq (process 812)"; undefined when /proc does not tell: another user's processes show their
 * sockets to root only, and a process of another container's is not in this /proc.
 */
export function portHolder(transport: 'udp' | 'tcp', port: number): string | undefined {
  const inodes = [transport, `${transport}6`].flatMap((table) => boundSockets(`/proc/net/${table}`, port));
  for (const inode of inodes) {
    const pid = processWithSocket(inode);
    if (pid !== undefined) return `${processName(pid)} (process ${pid})`;
  }
  return undefined;
}

/** The inodes of the sockets that are bound to the port (TCP: that listen there). */
function boundSockets(table: string, port: number): number[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return readProc(table)
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', , state]) => local.endsWith(suffix) && (!table.includes('tcp') || state === LISTEN))
    .map((fields) => Number(fields[9]));
}

/** The program's file as it was started: threads rename the process (Node's is "MainThread"). */
function processName(pid: number): string {
  const [program = ''] = readProc(`/proc/${pid}/cmdline`).split('\0', 1);
  return path.basename(program) || 'a program';
}
