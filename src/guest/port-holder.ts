import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';

/** TCP_LISTEN of <net/tcp_states.h>, as /proc/net/tcp prints it. */
const LISTEN = '0A';

/**
 * Who has the port, as "dnsmasq (process 812)"; undefined when /proc does not tell: another user's processes show their
 * sockets to root only, and a process of another container's is not in this /proc.
 */
export function portHolder(transport: 'udp' | 'tcp', port: number): string | undefined {
  const sockets = [...boundSockets(`/proc/net/${transport}`, port), ...boundSockets(`/proc/net/${transport}6`, port)];
  if (sockets.length === 0) return undefined;
  const wanted = new Set(sockets.map((inode) => `socket:[${inode}]`));
  for (const pid of list('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    for (const descriptor of list(`/proc/${pid}/fd`)) {
      if (wanted.has(link(`/proc/${pid}/fd/${descriptor}`))) return `${processName(pid)} (process ${pid})`;
    }
  }
  return undefined;
}

/** The inodes of the sockets that are bound to the port (TCP: that listen there). */
function boundSockets(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return read(table)
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', , state]) => local.endsWith(suffix) && (!table.includes('tcp') || state === LISTEN))
    .map((fields) => fields[9] ?? '');
}

/** The program's file as it was started: threads rename the process (Node's is "MainThread"). */
function processName(pid: string): string {
  const [program = ''] = read(`/proc/${pid}/cmdline`).split('\0', 1);
  return path.basename(program) || 'a program';
}

/** What cannot be read is gone or another user's: as good as empty. */
function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function link(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return '';
  }
}
