/**
 * Published ports: from "listens in the guest" to "the published port serves", for a guest of `slipway run`, whose socket table
 * is seen. One port of 1 and of 1,000 closed ones begins to listen, again and again, while a client on the host tries once a
 * millisecond. Beside it, over seconds in which nobody listens and nobody asks: the processor's share, and the frames that
 * reach the guest. Run it alone, as root: `npm run build && npm run bench:ports`.
 *
 *   --rounds N    times that a port begins to listen (200)
 */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cleanUpOnExit } from './cleanup.ts';
import { Program, pause } from './process.ts';

const MAIN = join(import.meta.dirname, '../dist/cli/main.js');
const FIRST_PORT = 1000;
const COUNTS = [1, 1000] as const;
const QUIET_MS = 5000;
const START_MS = 60_000;
/** Clock ticks of /proc/PID/stat, in ms. */
const TICK_MS = 10;

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

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { rounds: { type: 'string', default: '200' } } });
  if (process.geteuid?.() !== 0) throw new Error('the benchmark makes namespaces: run it as root');
  cleanUpOnExit();
  process.stdout.write(
    `Node ${process.version}, Linux ${release()}, ${cpus().length} processors, load ${loadavg()[0]?.toFixed(1)}\n\n`,
  );
  process.stdout.write(
    '| closed ports | p50 | p99 | most | processor | frames to the guest |\n|---|---|---|---|---|---|\n',
  );
  for (const count of COUNTS) process.stdout.write(await row(count, Number(values.rounds)));
}

async function row(count: number, rounds: number): Promise<string> {
  // The client's side has fixed ports below the range that the kernel takes for outgoing connections.
  const publish = Array.from({ length: count }, (_, i) => ['-p', `127.0.0.1:${20_000 + i}:${FIRST_PORT + i}`]).flat();
  const guest = new Program([process.execPath, MAIN, 'run', ...publish, '--', 'python3', '-c', GUEST]);
  await guest.line(/^inside$/, START_MS);
  // What starting costs is not what waiting costs.
  await pause(2000);
  const [spentBefore, framesBefore, from] = [processorMs(guest.pid), await frames(guest), performance.now()];
  await pause(QUIET_MS);
  const seconds = (performance.now() - from) / 1000;
  const share = (processorMs(guest.pid) - spentBefore) / seconds / 10;
  const rate = ((await frames(guest)) - framesBefore) / seconds;
  const took: number[] = [];
  for (let round = 0; round < rounds; round++) took.push(await untilServed(guest, round % count));
  await guest.stop();
  took.sort((a, b) => a - b);
  const [p50, p99, most] = [0.5, 0.99, 1].map((part) => took[Math.ceil(took.length * part) - 1]!.toFixed(1));
  return `| ${count} | ${p50} ms | ${p99} ms | ${most} ms | ${share.toFixed(2)} % | ${rate.toFixed(1)}/s |\n`;
}

async function untilServed(guest: Program, index: number): Promise<number> {
  guest.write(`${FIRST_PORT + index}\n`);
  const [, listens] = await guest.line(/^listens (\d+)$/);
  while (!(await isServed(20_000 + index))) await pause(1);
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

/** User and system time of the process that holds the network. */
function processorMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13);
  return (Number(user) + Number(system)) * TICK_MS;
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
    process.exit(1);
  },
);
