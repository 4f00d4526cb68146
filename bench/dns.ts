/**
 * Names: dnsperf in a guest of `slipway run` against the gateway's DNS server, beside dnsperf against a caching dnsmasq
 * on loopback. Both forward to the same authoritative dnsmasq. Run it alone, as root: `npm run build && npm run
 * bench:dns`.
 *
 *   --rounds N    rounds over all cells (3)
 *   --seconds S   length of a timed cell (3)
 *
 * It runs in network and mount namespaces of its own, so the host's resolver is neither asked nor changed. What is
 * compared is not the same way: dnsmasq is reached over the kernel's loopback, Slipway through its own UDP/IP and a
 * tap.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cleanUpOnExit, undoLater } from './cleanup.ts';
import { Program, runNow } from './process.ts';
import { median } from './table.ts';

const MAIN = join(import.meta.dirname, '../dist/cli/main.js');
const INSIDE = 'SLIPWAY_BENCH_INSIDE';
const GATEWAY = '192.168.65.1';
const PEER_PORT = 5453;
const CLIENTS = '1000';
const CACHED_NAMES = 1000;
/** More than anything here answers in a cell, so that no name comes twice. */
const UNCACHED_PER_SECOND = 60_000;
/** What issue 3 demands; asked at exactly this rate, no answer may be missing. */
const REQUIRED = { cached: 20_000, uncached: 5_000 } as const;
const KINDS = ['cached', 'uncached'] as const;
type Kind = (typeof KINDS)[number];
const SERVERS = ['slipway', 'dnsmasq'] as const;
type Server = (typeof SERVERS)[number];

interface Result {
  readonly perSecond: number;
  readonly lost: number;
}

/** One cell's results over the rounds: as fast as it goes, and at the required rate. */
interface Cell {
  readonly server: Server;
  readonly kind: Kind;
  readonly fastest: Result[];
  readonly required: Result[];
}

let files = 0;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { rounds: { type: 'string', default: '3' }, seconds: { type: 'string', default: '3' } },
  });
  if (process.geteuid?.() !== 0) throw new Error('the benchmark makes namespaces: run it as root');
  if (process.env[INSIDE] === undefined) enterNamespaces();
  cleanUpOnExit();
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-dns-'));
  undoLater(() => rmSync(folder, { recursive: true, force: true }));
  await startServers(folder);
  const cells = SERVERS.flatMap((server) => KINDS.map((kind): Cell => ({ server, kind, fastest: [], required: [] })));
  const rounds = Number(values.rounds);
  for (let round = 1; round <= rounds; round++) {
    for (const cell of cells) {
      const seconds = Number(values.seconds);
      cell.fastest.push(await ask(cell, folder, seconds, undefined));
      cell.required.push(await ask(cell, folder, seconds, REQUIRED[cell.kind]));
      const [fastest, required] = [cell.fastest.at(-1)!, cell.required.at(-1)!];
      process.stderr.write(
        `round ${round}/${rounds}  ${cell.server} ${cell.kind}: ${fastest.perSecond.toFixed(0)}/s, lost ${fastest.lost}; ` +
          `at ${REQUIRED[cell.kind]}/s lost ${required.lost}\n`,
      );
    }
  }
  process.stdout.write(report(cells, rounds));
}

/** Runs this program again in namespaces of its own, and ends with its status. */
function enterNamespaces(): never {
  const again = [process.execPath, ...process.argv.slice(1)];
  const { status } = spawnSync('unshare', ['--mount', '--net', '--', ...again], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: '1' },
  });
  process.exit(status ?? 1);
}

/** The host's nameserver, which answers everything below test. with one address, and the peer in front of it. */
async function startServers(folder: string): Promise<void> {
  const resolvConf = join(folder, 'resolv.conf');
  writeFileSync(resolvConf, 'nameserver 127.0.0.1\n');
  runNow('mount', '--bind', resolvConf, '/etc/resolv.conf');
  runNow('ip', 'link', 'set', 'lo', 'up');
  const common = [
    '--keep-in-foreground',
    '--user=root',
    '--no-hosts',
    '--no-resolv',
    '--pid-file=',
    '--log-facility=-',
  ];
  const loopback = ['--listen-address=127.0.0.1', '--bind-interfaces'];
  const started = [
    [...common, ...loopback, '--port=53', '--cache-size=0', '--local-ttl=300', '--address=/test/10.9.9.9'],
    [
      ...[...common, ...loopback, `--port=${PEER_PORT}`, '--server=127.0.0.1#53'],
      ...['--cache-size=10000', '--dns-forward-max=1000'],
    ],
  ].map((args) => new Program(['dnsmasq', ...args]));
  for (const port of [53, PEER_PORT]) await answering(port);
  for (const server of started) server.mustRun();
}

async function answering(port: number): Promise<void> {
  const dig = new Program(['dig', '@127.0.0.1', '-p', `${port}`, '+tries=20', '+time=1', '+short', 'ready.test']);
  await dig.line(/^10\.9\.9\.9$/, 20_000);
}

async function ask(cell: Cell, folder: string, seconds: number, rate: number | undefined): Promise<Result> {
  const [host, port] = cell.server === 'slipway' ? [GATEWAY, '53'] : ['127.0.0.1', `${PEER_PORT}`];
  const perf = `dnsperf -s ${host} -p ${port} -c ${CLIENTS}`;
  const measured = questions(folder, cell.kind, seconds);
  // Nobody is charged for compiling, and the names that are to be cached are.
  const warmUp = cell.kind === 'cached' ? `-d ${measured} -n 3` : `-d ${questions(folder, cell.kind, 1)} -l 1`;
  const pace = rate === undefined ? '' : `-Q ${rate}`;
  const script = `${perf} ${warmUp} >/dev/null && exec ${perf} -d ${measured} -l ${seconds} ${pace}`;
  const guest = cell.server === 'slipway' ? [process.execPath, MAIN, 'run', '--config', configOf(folder), '--'] : [];
  const program = new Program([...guest, 'sh', '-c', script]);
  const limit = 30_000 + seconds * 1000;
  try {
    const [, lost] = await program.line(/^ *Queries lost: +(\d+)/, limit);
    const [, perSecond] = await program.line(/^ *Queries per second: +([\d.]+)/, limit);
    return { perSecond: Number(perSecond), lost: Number(lost) };
  } finally {
    await program.stop();
  }
}

/** One guest asks for all here: what it may ask is not what is measured. */
function configOf(folder: string): string {
  const file = join(folder, 'slipway.yaml');
  writeFileSync(file, 'dns:\n  queriesPerSecond: 1000000\n');
  return file;
}

/** A file of questions, which dnsperf takes in order; a name of an uncached one is in no other file. */
function questions(folder: string, kind: Kind, seconds: number): string {
  const file = join(folder, `questions-${files++}`);
  const [count, prefix] = kind === 'cached' ? [CACHED_NAMES, 'name'] : [UNCACHED_PER_SECOND * seconds, `u${files}-`];
  writeFileSync(file, Array.from({ length: count }, (_, i) => `${prefix}${i}.bench.test A\n`).join(''));
  return file;
}

function report(cells: readonly Cell[], rounds: number): string {
  const fastest = (server: Server, kind: Kind): number =>
    median(
      cells.find((cell) => cell.server === server && cell.kind === kind)!.fastest.map((result) => result.perSecond),
    );
  const lost = (results: readonly Result[]): number => results.reduce((sum, result) => sum + result.lost, 0);
  const rows = cells.map(
    ({ server, kind, fastest: results, required }) =>
      `| ${kind} | ${server} | ${Math.round(fastest(server, kind)).toLocaleString('en')} | ${lost(results)} | ` +
      `${Math.round(median(required.map((result) => result.perSecond))).toLocaleString('en')} | ${lost(required)} |`,
  );
  const ratios = KINDS.map((kind) => `${kind} ${(fastest('slipway', kind) / fastest('dnsmasq', kind)).toFixed(2)}`);
  return [
    '# Names',
    '',
    `${new Date().toISOString().slice(0, 10)}; ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}; Linux ${release()}; Node ${process.version}.`,
    `${CLIENTS} clients, ${rounds} rounds; medians.`,
    '',
    '| questions | server | fastest, 1/s | lost | at the required rate, 1/s | lost |',
    '| --- | --- | ---: | ---: | ---: | ---: |',
    ...rows,
    '',
    `slipway / dnsmasq: ${ratios.join(', ')}`,
    '',
  ].join('\n');
}

await main();
// The nameservers that it started would hold it for ever; they end on the way out.
process.exit(0);
