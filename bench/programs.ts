import { chmodSync, closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { undoLater } from './cleanup.ts';
import { Program, runNow } from './process.ts';

const COUNTERS_BYTES = 32;

export const SERVICES = ['sink', 'source', 'echo', 'http', 'udp-sink', 'udp-source', 'udp-echo'] as const;
export type Service = (typeof SERVICES)[number];

/** What the receivers and senders of load.c counted so far (`struct counters`). */
export interface Counters {
  readonly tcpBytes: number;
  readonly udpBytes: number;
  readonly udpReceived: number;
  readonly udpSent: number;
}

/** The compiled helpers, the servers on the host's loopback, and a private folder for sockets. */
export class Workshop {
  readonly folder: string;
  readonly relay: string;
  readonly load: string;
  readonly countersPath: string;
  readonly #counters: number;
  #serversPid: number | undefined;
  #ports: ReadonlyMap<Service, string> = new Map();

  /** Compiles with `cc` into a temporary folder that goes with the process. */
  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
    undoLater(() => rmSync(this.folder, { recursive: true, force: true }));
    chmodSync(this.folder, 0o755); // passt reaches its socket as `nobody`
    this.relay = this.#compile('relay');
    this.load = this.#compile('load');
    this.countersPath = join(this.folder, 'counters');
    writeFileSync(this.countersPath, new Uint8Array(COUNTERS_BYTES));
    this.#counters = openSync(this.countersPath, 'r');
    undoLater(() => closeSync(this.#counters));
  }

  async startServers(): Promise<void> {
    const servers = await serving([this.load, 'serve', this.countersPath]);
    this.#ports = servers.ports;
    this.#serversPid = servers.program.pid;
  }

  /** The same servers in a guest, for ports that are forwarded to it. `prefix` enters the guest. */
  startGuestServers(prefix: readonly string[]): Promise<Servers> {
    return serving([...prefix, this.load, 'serve', this.countersPath, '0.0.0.0']);
  }

  /** Root of the servers' process tree, once they have started. */
  get serversPid(): number | undefined {
    return this.#serversPid;
  }

  port(service: Service): string {
    return this.#ports.get(service)!;
  }

  counters(): Counters {
    const words = new BigUint64Array(COUNTERS_BYTES / 8);
    readSync(this.#counters, words, 0, COUNTERS_BYTES, 0);
    const [tcpBytes, udpBytes, udpReceived, udpSent] = Array.from(words, Number) as [number, number, number, number];
    return { tcpBytes, udpBytes, udpReceived, udpSent };
  }

  #compile(name: string): string {
    const output = join(this.folder, name);
    runNow('cc', '-O2', '-Wall', '-o', output, join(import.meta.dirname, `${name}.c`));
    return output;
  }
}

/** Running servers and where each listens. */
export interface Servers {
  readonly program: Program;
  readonly ports: ReadonlyMap<Service, string>;
}

async function serving(argv: readonly string[]): Promise<Servers> {
  const program = new Program(argv);
  const ports = new Map<Service, string>();
  for (const service of SERVICES) {
    const [, port] = await program.line(new RegExp(`^${service} (\\d+)$`));
    ports.set(service, port!);
  }
  await program.line(/^ready$/);
  return { program, ports };
}
