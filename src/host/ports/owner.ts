/**
 * Who holds a port. The kernel's list gives the user and inode of each socket; the owner is the process that has that
 * inode open. Root can see this for all processes, others only for their own. What cannot be seen is reported as such,
 * not guessed.
 */
import path from 'node:path';
import { userName } from '../accounts.ts';
import { processWithSocket, procLink, readProc } from '../proc/proc.ts';
import type { Place, PortProtocol } from './socket-calls.ts';
import { socketsInTheWay } from './socket-table.ts';
import type { ListedSocket } from './bound-sockets.ts';

export type PortOwner =
  | {
      readonly kind: 'process';
      readonly pid: number;
      readonly name: string;
      readonly user: string;
      /** '' for a process beside ours; else "container 0123456789ab" or "another pid namespace". */
      readonly where: string;
    }
  /** Of a user, in a process that ours may not look into. */
  | { readonly kind: 'hidden'; readonly uid: number }
  /** Nobody's any more: a connection that has ended holds it for up to a minute. */
  | { readonly kind: 'time-wait' }
  /** In no list. */
  | { readonly kind: 'unknown' };

/**
 * Who keeps a socket from being bound at that place. Reads every process's descriptors that it may: for errors, not for
 * loops.
 */
export function portOwner(protocol: PortProtocol, place: Place, port: number): PortOwner {
  return socketsOwner(socketsInTheWay(protocol, place, port));
}

function socketsOwner(sockets: readonly ListedSocket[]): PortOwner {
  for (const { inode } of sockets) {
    const owner = inode === 0 ? undefined : inodeOwner(inode);
    if (owner !== undefined) return owner;
  }
  const [first] = sockets;
  if (first === undefined) return { kind: 'unknown' };
  const held = sockets.find(({ inode }) => inode !== 0);
  return held === undefined && !first.listening ? { kind: 'time-wait' } : { kind: 'hidden', uid: (held ?? first).uid };
}

/** The process that has a socket open; undefined when none that may be looked at has it. */
export function inodeOwner(inode: number): Extract<PortOwner, { readonly kind: 'process' }> | undefined {
  const pid = processWithSocket(inode);
  return pid === undefined
    ? undefined
    : { kind: 'process', pid, name: nameOf(pid), user: userOf(pid), where: whereIs(pid) };
}

/** "held by nginx (pid 812, user www-data)" */
export function describeOwner(owner: PortOwner): string {
  switch (owner.kind) {
    case 'process': {
      const where = owner.where === '' ? '' : `, in ${owner.where}`;
      return `held by ${owner.name} (pid ${owner.pid}, user ${owner.user}${where})`;
    }
    case 'hidden': {
      if (process.geteuid?.() === 0) return 'held by the kernel, or by a process outside this pid namespace';
      if (owner.uid === process.geteuid?.()) {
        return `held by a process of this user (${userName(owner.uid)}) that hides itself (only root sees which)`;
      }
      return `held by another user's process (user ${userName(owner.uid)}; only root sees which)`;
    }
    case 'time-wait':
      return 'held by a connection that has just ended, for up to a minute';
    case 'unknown':
      return 'held by a socket that is bound but not listening (ss -lB may show whose)';
  }
}

/** The program's file, because threads and servers rename themselves; its short name where the file is hidden. */
function nameOf(pid: number): string {
  const program = path.basename(procLink(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, ''));
  return program !== '' ? program : readProc(`/proc/${pid}/comm`).trim() || 'a process that has just ended';
}

function userOf(pid: number): string {
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(readProc(`/proc/${pid}/status`))?.[1];
  return uid === undefined ? 'unknown' : userName(Number(uid));
}

/** Container engines name the control group after the container's id of 64 digits. */
function whereIs(pid: number): string {
  const container = /[-/]([0-9a-f]{12})[0-9a-f]{52}(?:\.scope|$)/m.exec(readProc(`/proc/${pid}/cgroup`))?.[1];
  if (container !== undefined) return `container ${container}`;
  const theirs = procLink(`/proc/${pid}/ns/pid`);
  return theirs === '' || theirs === procLink('/proc/self/ns/pid') ? '' : 'another pid namespace';
}
