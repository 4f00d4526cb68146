import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { BACKENDS, type BackendName } from './backends/backend.ts';
import { cleanUpOnExit } from './cleanup.ts';
import { pinCongestionControl } from './guest.ts';
import { Workshop } from './programs.ts';
import { conditions, json, markdown } from './report.ts';
import { allCells } from './rows/index.ts';
import { runPlan } from './run.ts';
import { Table } from './table.ts';

const USAGE = `npm run bench -- [options]

  --rounds N         rounds over all backends (3)
  --seconds S        length of a timed cell (2)
  --only PATTERN     cells whose name matches this regular expression
  --backends A,B     of ${BACKENDS.join(', ')} (all)
  --json FILE        every number of every round
  --list             the names of the cells

Needs root, a C compiler, iproute2, wrk, and the Debian packages passt and slirp4netns. See bench/README.md.
`;

class UsageError extends Error {}

async function main(): Promise<void> {
  const options = readOptions();
  if (options === undefined) return;
  if (process.geteuid?.() !== 0) throw new UsageError('the benchmark makes network namespaces: run it as root');
  cleanUpOnExit();
  pinCongestionControl();
  const workshop = new Workshop();
  await workshop.startServers();
  const started = performance.now();
  const progress = (line: string): void => {
    const seconds = ((performance.now() - started) / 1000).toFixed(0).padStart(4);
    process.stderr.write(`${seconds} s  ${line}\n`);
  };
  const results = await runPlan({ ...options, progress }, { workshop, seconds: options.seconds });
  const table = new Table(
    options.cells.flatMap((cell) => cell.figures),
    results,
  );
  const where = conditions(options.rounds, options.seconds);
  process.stdout.write(markdown(table, where));
  if (options.json !== undefined) writeFileSync(options.json, json(table, where));
}

interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly cells: ReturnType<typeof allCells>;
  readonly backends: readonly BackendName[];
  readonly json: string | undefined;
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '2' },
      only: { type: 'string', default: '' },
      backends: { type: 'string', default: BACKENDS.join(',') },
      json: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const cells = allCells().filter((cell) => new RegExp(values.only).test(cell.id));
  if (values.help || values.list) {
    process.stdout.write(values.help ? USAGE : `${cells.map((cell) => cell.id).join('\n')}\n`);
    return undefined;
  }
  if (cells.length === 0) throw new UsageError(`--only ${values.only} matches no cell: --list shows them`);
  const backends = values.backends.split(',').map((name) => {
    const known = BACKENDS.find((backend) => backend === name);
    if (known === undefined) throw new UsageError(`--backends: ${name} is none of ${BACKENDS.join(', ')}`);
    return known;
  });
  return {
    rounds: positive('--rounds', values.rounds, true),
    seconds: positive('--seconds', values.seconds, false),
    cells,
    backends,
    json: values.json,
  };
}

function positive(name: string, text: string, whole: boolean): number {
  const value = Number(text);
  if (value > 0 && (!whole || Number.isInteger(value))) return value;
  throw new UsageError(`${name} ${text}: expected a ${whole ? 'whole ' : ''}number above 0`);
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    const usage = error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
    process.stderr.write(usage ? `${(error as Error).message}\n` : `${error instanceof Error ? error.stack : error}\n`);
    process.exit(usage ? 2 : 1);
  },
);
