import assert from 'node:assert/strict';
import { type IncomingMessage, request } from 'node:http';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { type ControlApi, type ControlApiOptions, openControlApi } from '../../src/api/server/control-api.ts';
import type { ControlExtension } from '../../src/api/server/control-server.ts';
import { controlApp } from '../../src/api/v1/control-app.ts';
import type { ControlParts } from '../../src/api/v1/control-parts.ts';
import { EventFeed } from '../../src/api/v1/event-feed.ts';
import { resolveConfig } from '../../src/config/config.ts';
import { SlipwayError } from '../../src/facts/errors.ts';
import { type ForwardSpec, type ForwardStatus, forwardId, type ServiceForward } from '../../src/config/forward.ts';
import type { FlowName, FlowStatus } from '../../src/control/flow-status.ts';
import type { NetworkStatus } from '../../src/control/network-status.ts';
import { Counters } from '../../src/env/counters.ts';
import { ZoneStore } from '../../src/services/dns/zones/zone-store.ts';
import type { Forwards } from '../../src/services/forward/forwards.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** A table of forwards that binds nothing. */
class MemoryForwards implements Forwards {
  readonly #table = new Map<string, ForwardStatus>();
  #services: ServiceForward[] = [];
  /** Guest ports whose forwards are refused. */
  readonly taken = new Set<number>();

  open(spec: ForwardSpec): Promise<ForwardStatus> {
    const port = spec.host.kind === 'port' ? spec.host.port : 0;
    if (spec.guest.kind === 'port' && this.taken.has(spec.guest.port)) {
      const message = `listen tcp 0.0.0.0:${spec.guest.port}: bind: address already in use: held by nginx (pid 812)`;
      return Promise.reject(new SlipwayError('ERR_PORT_IN_USE', message, 'The next free port is 81.'));
    }
    const id = forwardId(spec);
    const status = {
      id,
      spec,
      state: 'listening',
      why: '',
      code: '',
      reaches: 0,
      guestListens: 'unseen',
      note: '',
      boundPort: port,
      connections: 0,
      descriptors: 2,
    } as const;
    this.#table.set(id, status);
    return Promise.resolve(status);
  }

  close(id: string): Promise<boolean> {
    return Promise.resolve(this.#table.delete(id));
  }

  exchange(): Promise<void> {
    return Promise.resolve();
  }

  list(): readonly ForwardStatus[] {
    return [...this.#table.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  get(id: string): ForwardStatus | undefined {
    return this.#table.get(id);
  }

  ownedBy(): readonly ForwardStatus[] {
    return [];
  }

  addService(service: ServiceForward): Promise<void> {
    this.#services.push(service);
    return Promise.resolve();
  }

  removeService(which: Pick<ServiceForward, 'protocol' | 'address' | 'port'>): Promise<boolean> {
    const before = this.#services.length;
    this.#services = this.#services.filter(
      ({ protocol, address, port }) => protocol !== which.protocol || address !== which.address || port !== which.port,
    );
    return Promise.resolve(this.#services.length < before);
  }

  services(): readonly ServiceForward[] {
    return this.#services;
  }

  refresh(): Promise<void> {
    return Promise.resolve();
  }

  onChange(): () => void {
    return () => {};
  }
}

const FLOW: FlowStatus = {
  protocol: 'tcp',
  openedBy: 'guest',
  guestAddress: 0xc0a84103,
  guestPort: 40_000,
  remoteAddress: 0xc0000201,
  remotePort: 443,
  state: 'ESTABLISHED',
  bytesFromGuest: 10,
  bytesToGuest: 20,
};

export const NETWORK: NetworkStatus = {
  guests: [{ name: 'qemu-1', address: 0xc0a84103, mac: 0x5a94ef000001 }],
  leases: [
    { address: 0xc0a84103, mac: 0x5a94ef000001, name: 'web', remainingMs: 3_600_000 },
    { address: 0xc0a84104, mac: 0x5a94ef000002, name: '', remainingMs: Number.POSITIVE_INFINITY },
  ],
  flows: 1,
  counters: { 'udp-bad-length': 3 },
};

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  /** Undefined where the answer is not JSON. */
  readonly json: never;
}

export interface Ask {
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  /** As it is, with whatever content type the headers say. */
  readonly body?: string;
}

export interface ControlWorldOptions extends Partial<ControlApiOptions> {
  readonly extensions?: () => Promise<readonly ControlExtension[]>;
}

/** The control API over parts in memory, on a socket in a folder of its own. */
export class ControlWorld {
  readonly forwards = new MemoryForwards();
  readonly counters = new Counters();
  readonly events = new EventFeed();
  readonly zones = new ZoneStore({ defaultTtlSeconds: 10 });
  readonly killed: FlowName[] = [];
  readonly defects: string[] = [];
  readonly warnings: string[] = [];
  flushes = 0;
  status: () => Promise<NetworkStatus> = () => Promise.resolve(NETWORK);
  readonly folder: string;
  readonly socket: string;
  api!: ControlApi;

  static async open(t: TestContext, options: ControlWorldOptions = {}): Promise<ControlWorld> {
    const world = new ControlWorld();
    const { config, extensions, ...rest } = options;
    world.api = await openControlApi({
      privateFolder: false,
      counters: world.counters,
      log: { ...world.parts.log, warn: (message) => void world.warnings.push(message) },
      load: async (rules) => controlApp(world.parts, rules, (await extensions?.()) ?? []),
      ...rest,
      config: { socket: world.socket, tcp: undefined, tokenFile: '', ...config },
    });
    t.after(() => world.api.close());
    return world;
  }

  private constructor() {
    this.folder = temporaryFolder('test');
    this.socket = path.join(this.folder, 'control.sock');
  }

  get parts(): ControlParts {
    return {
      facts: {
        version: '1.2.3',
        pid: 4711,
        engine: 'node',
        descriptors: 1024,
        config: resolveConfig({}),
        attachments: () => ['qemu+unix:///vm.sock'],
      },
      status: () => this.status(),
      flows: {
        list: (limit) => Promise.resolve([FLOW].slice(0, limit)),
        kill: (flow) => {
          this.killed.push(flow);
          return Promise.resolve(flow.guestPort === FLOW.guestPort);
        },
      },
      forwards: this.forwards,
      zones: this.zones,
      lookups: {
        lookup: ({ name }) =>
          name === 'defect' ? Promise.reject(new Error('nobody foresaw this')) : Promise.resolve(new Uint8Array(12)),
        flush: () => {
          this.flushes++;
        },
      },
      events: this.events,
      counters: this.counters,
      log: { error: (message) => this.defects.push(message) },
    };
  }

  ask(method: string, target: string, ask: Ask = {}): Promise<Answer> {
    return askAt({ socketPath: this.socket }, method, target, ask);
  }
}

export function askAt(
  where: { readonly socketPath: string } | { readonly host: string; readonly port: number },
  method: string,
  target: string,
  { headers = {}, json, body = json === undefined ? undefined : JSON.stringify(json) }: Ask = {},
): Promise<Answer> {
  const type = json === undefined ? {} : { 'content-type': 'application/json' };
  const length = body === undefined ? {} : { 'content-length': `${Buffer.byteLength(body)}` };
  return new Promise((resolve, reject) => {
    const options = {
      ...where,
      method,
      path: target,
      headers: { ...type, ...length, ...headers },
      agent: false,
    } as const;
    const asked = request(options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => {
        const isJson = /^application\/json/.test(response.headers['content-type'] ?? '') && text !== '';
        const answer: unknown = isJson ? JSON.parse(text) : undefined;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: answer as never });
      });
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

/** What a refusal says; all of them have the same shape. */
export function refusal({ status, json, text }: Answer): {
  readonly status: number;
  readonly code: string;
  readonly message: string;
} {
  assert.ok(json !== undefined, `a refusal is JSON: ${text}`);
  assert.deepEqual(Object.keys(json), ['code', 'message', 'hint']);
  const { code, message } = json as { readonly code: string; readonly message: string };
  return { status, code, message };
}
