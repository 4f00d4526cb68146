import { readFileSync } from 'node:fs';
import { Guest, type GuestNetwork } from '../guest.ts';
import { Program } from '../process.ts';
import type { Servers, Service, Workshop } from '../programs.ts';

export const BACKENDS = ['slipway', 'passt', 'slirp4netns', 'loopback'] as const;
export type BackendName = (typeof BACKENDS)[number];

/** Where a backend is measured: how the guest is attached, and its MTU. */
export interface Setting {
  readonly attachment: 'stream' | 'tap';
  readonly mtu: number;
  /** The ports of servers in the guest are forwarded from the host's loopback, under the same numbers. */
  readonly forwards?: true;
}

/** A running backend with its guest. */
export interface Lane {
  /** The address at which the guest finds the host's loopback. */
  readonly host: string;
  /** What to put before a command to run it in the guest. */
  readonly prefix: readonly string[];
  /** Root of the backend's process tree; absent for bare loopback. */
  readonly pid?: number;
  /** The program that joins a stream backend to the guest's tap. */
  readonly relayPid?: number;
  /** The unix socket where that program joined; Slipway takes more guests there. */
  readonly socketPath?: string;
  /** With `forwards`: where on the host's loopback each service of the guest is. */
  readonly forwarded?: ReadonlyMap<Service, string>;
  /** From the start of the backend's process to its first ARP answer; absent where the guest does not exist before. */
  readonly firstPacketMs?: number;
  /** False once a process of it has ended. */
  alive(): boolean;
  stop(): Promise<void>;
}

export interface Backend {
  readonly name: BackendName;
  start(setting: Setting, workshop: Workshop): Promise<Lane>;
}

/** Raises the soft limit of descriptors to the hard one: 10,000 idle flows need more than the usual 1,024. */
export function withDescriptors(argv: readonly string[]): readonly string[] {
  const hard = readFileSync('/proc/self/limits', 'utf8').match(/^Max open files\s+\S+\s+(\S+)/m)?.[1] ?? '';
  return ['prlimit', `--nofile=${hard}:`, '--', ...argv];
}

export interface NamespaceLane {
  readonly network: GuestNetwork;
  readonly host: string;
  /** `ports`: to be forwarded from 127.0.0.1 to the same of the guest. */
  readonly argv: (guest: Guest, ports: readonly string[]) => readonly string[];
  /** For backends that speak QEMU's stream protocol: where; the relay joins them to the guest's tap. */
  readonly socketPath?: string;
}

/** A namespace guest that exists before the backend: start the backend, join it, wait for its first ARP answer. */
export async function startNamespaceLane(
  workshop: Workshop,
  lane: NamespaceLane,
  { forwards }: Setting,
): Promise<Lane> {
  const guest = new Guest(lane.network);
  const programs: Program[] = [];
  let servers: Servers | undefined;
  const stop = async (): Promise<void> => {
    for (const program of programs) await program.stop();
    await servers?.program.stop();
    guest.remove();
  };
  try {
    if (forwards) servers = await workshop.startGuestServers(guest.prefix);
    if (lane.socketPath !== undefined) {
      const relay = new Program([workshop.relay, guest.path, guest.tap, lane.socketPath]);
      programs.push(relay);
      await relay.line(/^tap$/);
    }
    const started = process.hrtime.bigint();
    const backend = new Program(withDescriptors(lane.argv(guest, [...(servers?.ports.values() ?? [])])));
    programs.unshift(backend);
    const answered = await Promise.race([
      guest.firstAnswer(workshop),
      backend.exited.then(() => backend.mustRun()).then(() => 0n),
    ]);
    return {
      host: lane.host,
      prefix: guest.prefix,
      pid: backend.pid,
      ...(programs[1] ? { relayPid: programs[1].pid } : {}),
      ...(lane.socketPath !== undefined ? { socketPath: lane.socketPath } : {}),
      ...(servers ? { forwarded: servers.ports } : {}),
      firstPacketMs: Number(answered - started) / 1e6,
      alive: () => programs.every((program) => program.running),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
