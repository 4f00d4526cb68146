import { SlipwayError } from '../../../src/facts/errors.ts';
import {
  FORWARD_DEFAULTS,
  type ForwardSpec,
  type ForwardStatus,
  type ServiceForward,
} from '../../../src/config/forward.ts';
import { parsePortSpec } from '../../../src/config/port-spec.ts';
import { Mismatch } from '../../../src/config/values.ts';
import type { HostErrorCode } from '../../../src/env/host.ts';
import type { ForwardReport, ForwardRequest, ForwardStanding } from '../../../src/forward/forward-request.ts';
import type { ForwardEdges, OpenPorts, PortRequest } from '../../../src/services/forward/edges.ts';
import type { ForwardStore } from '../../../src/services/forward/forward-store.ts';
import { ForwardTable } from '../../../src/services/forward/forward-table.ts';
import { parseCidr } from '../../../src/wire/cidr.ts';
import { parseIpv4Address } from '../../../src/wire/ipv4-address.ts';

export const at = (text: string): number => parseIpv4Address(text)!;
export const GUESTS = {
  subnet: parseCidr('192.168.65.0/24')!,
  gateway: at('192.168.65.1'),
  hostAddress: at('192.168.65.254'),
};

/** What the network says of a forward whose guest is there. */
export const UP: ForwardStanding = { state: 'up', why: '', guestAddress: at('192.168.65.3'), guestListens: 'unseen' };

interface Alarm {
  readonly ms: number;
  readonly act: () => void;
}

/**
 * A table between two edges in memory: a host whose ports the test takes and gives, and a network that does what it is
 * told.
 */
export class TableWorld {
  readonly table: ForwardTable;
  /** 'port' or 'address' → the code by which the host refuses it. */
  readonly refused = new Map<number | string, SlipwayError['code']>();
  readonly bound: PortRequest[] = [];
  readonly files = new Set<string>();
  readonly open = new Map<number, ForwardRequest>();
  readonly ended: { readonly id: number; readonly connections: boolean }[] = [];
  readonly lines: string[] = [];
  readonly names = new Map<string, number>();
  readonly changes: string[] = [];
  alarms: Alarm[] = [];
  inNetwork: readonly ServiceForward[] = [];
  readonly guestAddresses = new Set<number>();
  /** What the network answers to the next forwards. */
  outcome: HostErrorCode | undefined;
  reach: Pick<ForwardReport, 'state' | 'why'> = { state: 'up', why: '' };
  /** What the network waits for before it closes a forward. */
  closeReady: Promise<void> = Promise.resolve();
  /** What sockets behind an sshd wait for. */
  sshReady: Promise<void> = Promise.resolve();
  #nextPort = 40_000;

  constructor(store?: ForwardStore) {
    this.table = new ForwardTable({ edges: this.#edges(), guests: GUESTS, store });
    this.table.onChange(({ id, state }, removed) => this.changes.push(`${id} ${removed ? 'removed' : state}`));
  }

  /** The alarms that are set now go off. */
  async pass(): Promise<readonly number[]> {
    const due = this.alarms;
    this.alarms = [];
    for (const { act } of due) act();
    await settled();
    return due.map(({ ms }) => ms);
  }

  add(text: string, more: Partial<ForwardSpec> = {}): Promise<ForwardStatus> {
    return this.table.open(spec(text, more));
  }

  /** 'id state', in order. */
  get standing(): readonly string[] {
    return this.table.list().map(({ id, state, code }) => `${id} ${state}${code === '' ? '' : ` ${code}`}`);
  }

  /** The number that messages have for a forward. */
  number(id: string): number {
    const { spec: wanted } = this.table.get(id)!;
    const port = wanted.guest.port;
    return [...this.open.values()].find(({ guestPort }) => guestPort === port)!.id;
  }

  #edges(): ForwardEdges {
    const note = (message: string): void => void this.lines.push(message);
    return {
      ports: {
        open: async (request) => this.#bind(request),
        openUnix: async (path) => this.#bindFile(path),
        refusal: async (request, errno) =>
          new SlipwayError(
            errno === 'EADDRINUSE' ? 'ERR_PORT_IN_USE' : 'ERR_PORT_FAILED',
            `${typeof request === 'string' ? request : request.port}: ${errno}`,
          ),
      },
      network: {
        open: async (forward) => {
          if (this.outcome !== undefined) return this.outcome;
          this.open.set(forward.id, forward);
          return { ...UP, id: forward.id, ...this.reach, connections: 0, note: '' };
        },
        close: async (id, connections) => {
          await this.closeReady;
          this.open.delete(id);
          this.ended.push({ id, connections });
        },
        list: async () => [...this.open.keys()].map((id) => ({ ...UP, id, connections: id * 10, note: '' })),
        setServices: async (services) => {
          if (this.outcome !== undefined) throw new SlipwayError('ERR_NETWORK_THREAD', 'no network');
          this.inNetwork = services;
        },
      },
      guestAddresses: async () => this.guestAddresses,
      names: {
        add: (name, address) => {
          if (name === 'no.name') throw new SlipwayError('ERR_DNS_ZONE', 'no name');
          this.names.set(name, address);
        },
        remove: (name) => void this.names.delete(name),
      },
      openSsh: async () => {
        await this.sshReady;
        return { connections: 7, close: (connections) => void this.ended.push({ id: -1, connections }) };
      },
      log: { info: note, warn: note },
      schedule: (ms, act) => {
        const alarm = { ms, act };
        this.alarms.push(alarm);
        return () => {
          this.alarms = this.alarms.filter((one) => one !== alarm);
        };
      },
    };
  }

  #bind(request: PortRequest): OpenPorts {
    const { address, count } = request;
    for (let port = request.port; port < request.port + count; port++) {
      const code = this.refused.get(port) ?? this.refused.get(address);
      if (code !== undefined) throw new SlipwayError(code, `${address}:${port} is refused`);
    }
    this.bound.push(request);
    const port = request.port || this.#nextPort++;
    const fds = Array.from({ length: count }, (_, i) => 1000 + i);
    return {
      sockets: { kind: 'descriptors', fds, index: fds.map((_, i) => i) },
      boundPort: port,
      descriptors: count,
      close: () => {},
      isThere: () => true,
      removeFile: () => {},
    };
  }

  #bindFile(path: string): OpenPorts {
    const code = this.refused.get(path);
    if (code !== undefined) throw new SlipwayError(code, `${path} is refused`);
    this.files.add(path);
    return {
      sockets: { kind: 'descriptors', fds: [999], index: [0] },
      boundPort: 0,
      descriptors: 1,
      close: () => {},
      isThere: () => this.files.has(path),
      removeFile: () => void this.files.delete(path),
    };
  }
}

/** What `docker run -p` would ask for, from the API. */
export function spec(text: string, more: Partial<ForwardSpec> = {}): ForwardSpec {
  const ports = parsePortSpec(text);
  if (ports instanceof Mismatch || ports[0] === undefined) throw new Error(`no port: ${text}`);
  return { ...FORWARD_DEFAULTS, ...ports[0], owner: 'api', ...more };
}

/** A socket of the host that reaches a guest's port. */
export function socketSpec(path: string, more: Partial<ForwardSpec> = {}): ForwardSpec {
  return { ...spec('80:80'), protocol: 'unix', host: { kind: 'unix', path }, ...more };
}

/** All that is under way without waiting for anything outside has happened. */
export async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** Rejects unless the promise rejects with the code; resolves with the error. */
export async function refusal(code: SlipwayError['code'], promise: Promise<unknown>): Promise<SlipwayError> {
  const error: unknown = await promise.then(
    () => new Error('it was accepted'),
    (cause: unknown) => cause,
  );
  if (error instanceof SlipwayError && error.code === code) return error;
  throw error;
}
