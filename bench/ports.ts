/**
 * Published ports: from "listens in the guest" to "the published port serves". One port of 1 and of 1,000 closed ones
 * begins to listen, again and again, while a client on the host tries once a millisecond: in a guest of `slipway run`,
 * whose socket table is seen, and in one that came by a socket as a virtual machine does, whose is not. Beside it, over
 * seconds in which nobody listens and nobody asks: the processor's share, and the frames that reach the guest. Then
 * what 4,096 persistent forwards cost. Run it alone, as root: `npm run build && npm run bench:ports`.
 *
 *   --rounds N    times that a port begins to listen (200)
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startNamespaceLane } from './backends/backend.ts';
import { cleanUpOnExit } from './cleanup.ts';
import { PERSISTENT_FORWARDS, persistentForwards } from './persistent-forwards.ts';
import { cpuSeconds, Program, pause } from './process.ts';
import { Workshop } from './programs.ts';

const MAIN = join(import.meta.dirname, '../dist/cli/main.js');
const FIRST_PORT = 1000;
const COUNTS = [1, 1000] as const;
const QUIET_MS = 5000;
const START_MS = 60_000;
/** What the project demands of itself. */
const DEMANDS = { p99Ms: { 1: 50, 1000: 200 }, processor: 1, framesPerSecond: 100 } as const;

/** Says when it listens (CLOCK_MONOTONIC, ns), serves one client and closes; says what has reached its interface. */
const GUEST = `
import socket, sys, time
print('inside', flush=True)
for line in sys.stdin:
    if line == 'frames\\n':
        print('frames', sum(int(l.split()[1]) for l in open('/proc/net/dev') if ':' in l and 'lo:' not in l), flush=True)
        continue
    server = socket.create_server(('0.0.0.0', int(line)))
    print('listens', time.monotonic_ns(), flush=True)
    client, _ = server.accept()
    server.close()
    client.sendall(b'served')
    client.close()
    print('closed', flush=True)
`;

interface Site {
  /** The process that holds the network. */
  readonly pid: number;
  /** `GUEST`, running in the guest. */
  readonly guest: Program;
  stop(): Promise<void>;
}

interface Kind {
  readonly name: string;
  start(ports: readonly number[], workshop: Workshop): Promise<Site>;
}

const KINDS: readonly Kind[] = [
  {
    name: 'seen',
    async start(ports) {
      const guest = new Program([process.execPath, MAIN, 'run', ...published(ports), '--', 'python3', '-c', GUEST]);
      await guest.line(/^inside$/, START_MS);
      return { pid: guest.pid, guest, stop: () => guest.stop() };
    },
  },
  {
    name: 'unseen',
    async start(ports, workshop) {
      const socketPath = join(workshop.folder, `ports-${ports.length}.sock`);
      const listen = ['--listen', `qemu+unix://${socketPath}`, '--control', 'none'];
      const lane = await startNamespaceLane(
        workshop,
        {
          network: { mtu: 1500, address: '192.168.65.3', gateway: '192.168.65.1' },
          host: '192.168.65.254',
          socketPath,
          argv: () => [
            ...[process.execPath, MAIN, 'up', ...listen, '--state', join(workshop.folder, 'state')],
            ...published(ports),
          ],
        },
        { attachment: 'stream', mtu: 1500 },
      );
      const guest = new Program([...lane.prefix, 'python3', '-c', GUEST]);
      await guest.line(/^inside$/);
      return {
        pid: lane.pid!,
        guest,
        stop: async () => {
          await guest.kill();
          await lane.stop();
        },
      };
    },
  },
];

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { rounds: { type: 'string', default: '200' } } });
  if (process.geteuid?.() !== 0) throw new Error('the benchmark makes namespaces: run it as root');
  cleanUpOnExit();
  const workshop = new Workshop();
  process.stdout.write(
    `Node ${process.version}, Linux ${release()}, ${cpus().length} processors, load ${loadavg()[0]?.toFixed(1)}\n\n`,
  );
  process.stdout.write(
    '| guest | closed ports | p50 | p99 | most | processor | frames to the guest | demanded |\n|---|---|---|---|---|---|---|---|\n',
  );
  for (const kind of KINDS) {
    for (const count of COUNTS) process.stdout.write(await row(kind, count, workshop, Number(values.rounds)));
  }
  const ports = await freePorts(PERSISTENT_FORWARDS);
  process.stdout.write(await persistentForwards(workshop, MAIN, ports));
}

async function row(kind: Kind, count: (typeof COUNTS)[number], workshop: Workshop, rounds: number): Promise<string> {
  const ports = await freePorts(count);
  const { pid, guest, stop } = await kind.start(ports, workshop);
  // What starting costs is not what waiting costs.
  await pause(2000);
  const [spentBefore, framesBefore, from] = [cpuSeconds(pid), await frames(guest), performance.now()];
  await pause(QUIET_MS);
  const seconds = (performance.now() - from) / 1000;
  const share = ((cpuSeconds(pid) - spentBefore) / seconds) * 100;
  const rate = ((await frames(guest)) - framesBefore) / seconds;
  const took: number[] = [];
  for (let round = 0; round < rounds; round++) took.push(await untilServed(guest, round % count, ports));
  await stop();
  took.sort((a, b) => a - b);
  const [p50 = 0, p99 = 0, most = 0] = [0.5, 0.99, 1].map((part) => took[Math.ceil(took.length * part) - 1]);
  const met = p99 <= DEMANDS.p99Ms[count] && share <= DEMANDS.processor && rate <= DEMANDS.framesPerSecond;
  const times = [p50, p99, most].map((ms) => `${ms.toFixed(1)} ms`).join(' | ');
  const demanded = `${met ? 'met' : 'missed'}: p99 ≤ ${DEMANDS.p99Ms[count]} ms, ≤ ${DEMANDS.processor} %, ≤ ${DEMANDS.framesPerSecond}/s`;
  return `| ${kind.name} | ${count} | ${times} | ${share.toFixed(2)} % | ${rate.toFixed(1)}/s | ${demanded} |\n`;
}

function published(ports: readonly number[]): string[] {
  return ports.flatMap((port, i) => ['-p', `127.0.0.1:${port}:${FIRST_PORT + i}`]);
}

/** Ports in a row that are free at loopback, below those that the kernel takes for outgoing connections. */
async function freePorts(count: number): Promise<number[]> {
  const [lowest] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split('\t').map(Number);
  for (let first = lowest! - count; first > FIRST_PORT + count; first -= count) {
    const servers: Server[] = Array.from({ length: count }, (_, i) => createServer().listen(first + i, '127.0.0.1'));
    const bound = await Promise.allSettled(servers.map((server) => once(server, 'listening')));
    const ports = servers.map((server) => (server.address() as AddressInfo | null)?.port ?? 0);
    for (const server of servers) server.close();
    if (bound.every(({ status }) => status === 'fulfilled')) return ports;
  }
  throw new Error(`no ${count} free ports in a row`);
}

async function untilServed(guest: Program, index: number, ports: readonly number[]): Promise<number> {
  guest.write(`${FIRST_PORT + index}\n`);
  const [, listens] = await guest.line(/^listens (\d+)$/);
  while (!(await isServed(ports[index]!))) await pause(1);
  const took = Number(process.hrtime.bigint() - BigInt(listens!)) / 1e6;
  await guest.line(/^closed$/);
  // It begins again at any time between two looks, once its end was seen.
  await pause(200 + Math.random() * 50);
  return took;
}

function isServed(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const client = connect(port, '127.0.0.1');
    let heard = false;
    client.on('data', () => {
      heard = true;
    });
    client.on('error', () => {}).on('close', () => resolve(heard));
  });
}

async function frames(guest: Program): Promise<number> {
  guest.write('frames\n');
  const [, count] = await guest.line(/^frames (\d+)$/);
  return Number(count);
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
    process.exit(1);
  },
);
