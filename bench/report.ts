import { cpus, release } from 'node:os';
import { BACKENDS, type BackendName } from './backends/backend.ts';
import { runNow } from './process.ts';
import type { Figure } from './rows/cell.ts';
import { numbers, type Table } from './table.ts';
import { judge, type Verdict } from './verdict.ts';

/** Where a number was measured: without it the number says nothing. */
export interface Conditions {
  readonly date: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly kernel: string;
  readonly node: string;
  readonly passt: string;
  readonly slirp4netns: string;
  readonly rounds: number;
  readonly seconds: number;
}

interface Section {
  readonly title: string;
  readonly groups: readonly Figure['group'][];
  readonly backends: readonly BackendName[];
}

const SECTIONS: readonly Section[] = [
  {
    title: 'Stream attachment (slirp4netns on its own tap)',
    groups: ['tcp', 'udp', 'loss', 'http', 'round-trip', 'cpu'],
    backends: ['slipway', 'passt', 'slirp4netns'],
  },
  { title: 'Forwarded ports (host to guest)', groups: ['forward'], backends: ['slipway', 'passt'] },
  { title: 'Tap (slipway run)', groups: ['tap'], backends: ['slipway', 'slirp4netns', 'loopback'] },
  { title: 'Beside guests that flood', groups: ['flood'], backends: ['slipway'] },
  { title: 'Footprint', groups: ['footprint'], backends: ['slipway', 'passt', 'slirp4netns'] },
];

/** A field of dpkg-query's, not of a template string. */
const VERSION_FIELD = '$' + '{Version}';

export function conditions(rounds: number, seconds: number): Conditions {
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cpus: cpus().length,
    kernel: release(),
    node: process.version,
    passt: debianVersion('passt'),
    slirp4netns: debianVersion('slirp4netns'),
    rounds,
    seconds,
  };
}

/** The report as Markdown: the conditions, one table a section, what failed, the verdicts. */
export function markdown(table: Table, where: Conditions): string {
  const head = [
    '# Benchmark',
    '',
    `${where.date}; ${where.cpus} × ${where.cpu}; Linux ${where.kernel}; Node ${where.node}; passt ${where.passt};`,
    `slirp4netns ${where.slirp4netns}. ${where.rounds} rounds, ${where.seconds} s a cell: median (least–most).`,
    'A ratio above 1 is better for Slipway, whatever the unit.',
  ];
  const sections = SECTIONS.flatMap((section) => sectionLines(table, section));
  return [...head, ...sections, ...failureLines(table), ...verdictLines(judge(table)), ''].join('\n');
}

/** The same for programs: every outcome of every round. */
export function json(table: Table, where: Conditions): string {
  const figures = table.figures.map((figure) => ({
    ...figure,
    outcomes: Object.fromEntries(
      BACKENDS.map((name) => [name, table.outcomes(figure.id, name)]).filter(([, outcomes]) => outcomes!.length > 0),
    ),
  }));
  return `${JSON.stringify({ conditions: where, figures, verdicts: judge(table) }, undefined, 2)}\n`;
}

function sectionLines(table: Table, section: Section): string[] {
  const figures = table.figures.filter((figure) => section.groups.includes(figure.group));
  if (figures.length === 0) return [];
  const peers = section.backends.slice(1);
  const header = ['Row', 'Unit', ...section.backends, ...peers.map((peer) => `slipway / ${peer}`)];
  const rows = figures.map((figure) => [
    figure.title,
    figure.unit,
    ...section.backends.map((backend) => cellText(table, figure, backend)),
    ...peers.map((peer) => table.ratio(figure, peer)?.toFixed(2) ?? '–'),
  ]);
  return [
    '',
    `## ${section.title}`,
    '',
    line(header),
    line(header.map((_, at) => (at < 2 ? '---' : '---:'))),
    ...rows.map(line),
  ];
}

function cellText(table: Table, figure: Figure, backend: BackendName): string {
  const outcomes = table.outcomes(figure.id, backend);
  if (outcomes.length === 0) return '–';
  const values = numbers(outcomes);
  const failures = outcomes.length - values.length;
  if (failures > 0) return failures === outcomes.length ? 'failed' : `failed in ${failures} of ${outcomes.length}`;
  const spread = values.length > 1 ? ` (${short(Math.min(...values))}–${short(Math.max(...values))})` : '';
  return `${short(table.median(figure.id, backend)!)}${spread}`;
}

function failureLines(table: Table): string[] {
  const reasons = new Map<string, Set<string>>();
  for (const figure of table.figures) {
    for (const backend of BACKENDS) {
      for (const outcome of table.outcomes(figure.id, backend)) {
        if (typeof outcome === 'number') continue;
        const reason = `${backend}: ${outcome.failed.split('\n')[0]}`;
        reasons.set(reason, (reasons.get(reason) ?? new Set()).add(figure.id));
      }
    }
  }
  const lines = [...reasons].map(([reason, figures]) => `- ${reason} (${[...figures].join(', ')})`);
  return lines.length === 0 ? [] : ['', '## Failed', '', ...lines];
}

function verdictLines(verdicts: readonly Verdict[]): string[] {
  const word = (met: boolean | undefined): string => (met === undefined ? 'not measured' : met ? 'met' : '**short**');
  const rows = verdicts.map((verdict) => [verdict.kind, verdict.requirement, verdict.measured, word(verdict.met)]);
  return [
    '',
    '## Verdict',
    '',
    line(['', 'Requirement', 'Measured', '']),
    line(['---', '---', '---', '---']),
    ...rows.map(line),
  ];
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

/** Three digits that matter. */
function short(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en');
  return Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function debianVersion(name: string): string {
  try {
    return runNow('dpkg-query', '-W', '-f', VERSION_FIELD, name);
  } catch {
    return 'unknown';
  }
}
