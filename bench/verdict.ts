import type { BackendName } from './backends/backend.ts';
import type { Figure } from './rows/cell.ts';
import { median, type Table } from './table.ts';

/** One requirement, what was measured for it, and whether it holds; undefined: nothing was measured. */
export interface Verdict {
  readonly kind: 'Must' | 'Aim';
  readonly requirement: string;
  readonly measured: string;
  readonly met: boolean | undefined;
}

/**
 * Groups whose rows are compared with passt; memory and start have limits of their own, loss is shown beside goodput.
 */
const COMPARED: readonly Figure['group'][] = ['tcp', 'udp', 'http', 'round-trip', 'cpu'];
const TAP_UP = 'tap-up-1500';
const TAP_DOWN = 'tap-down-1500';

/** Judges a table by what the project demands of itself (docs/performance.md). */
export function judge(table: Table): Verdict[] {
  const compared = table.figures.filter((figure) => COMPARED.includes(figure.group));
  const tcp = table.figures.filter((figure) => figure.group === 'tcp');
  const rounds = table.figures.filter((figure) => figure.group === 'round-trip');
  const forwards = table.figures.filter((figure) => figure.group === 'forward');
  return [
    medianRatio(table, compared),
    eachRatio('Must', table, compared, 'passt', 0.9),
    eachRatio('Aim', table, compared, 'passt', 1.2),
    eachRatio('Must', table, forwards, 'passt', 1, 'each row of forwarded ports'),
    eachRatio('Must', table, tcp, 'slirp4netns', 1),
    eachRatio('Aim', table, rounds, 'slirp4netns', 1, 'round trip'),
    tapRatio('Must', table, TAP_UP, 'slirp4netns', 8),
    tapRatio('Must', table, TAP_DOWN, 'slirp4netns', 5),
    tapRatio('Must', table, TAP_UP, 'loopback', 0.3),
    tapRatio('Must', table, TAP_DOWN, 'loopback', 0.3),
    tapRatio('Aim', table, TAP_UP, 'slirp4netns', 10),
    tapRatio('Aim', table, TAP_DOWN, 'slirp4netns', 10),
    tapRatio('Aim', table, TAP_UP, 'loopback', 0.5),
    tapRatio('Aim', table, TAP_DOWN, 'loopback', 0.5),
    atMost(table, 'idle-cpu', 0.5, '%'),
    atMost(table, 'rss', 110, 'MiB'),
    atMost(table, 'idle-flow-1000', 4, 'KiB'),
    atMost(table, 'idle-flow-10000', 4, 'KiB'),
    atMost(table, 'first-packet', 400, 'ms'),
    atMost(table, 'flood-ping-p99', 50, 'ms'),
  ];
}

function medianRatio(table: Table, figures: readonly Figure[]): Verdict {
  const ratios = figures.map((figure) => table.ratio(figure, 'passt'));
  const known = ratios.filter((ratio) => ratio !== undefined);
  const complete = figures.length > 0 && known.length === figures.length;
  const middle = known.length > 0 ? median(known) : undefined;
  return {
    kind: 'Must',
    requirement: '1.0× passt in the median of all rows',
    measured: `${text(middle)} over ${known.length} of ${figures.length} rows`,
    met: complete ? middle! >= 1 : known.length === 0 ? undefined : false,
  };
}

function eachRatio(
  kind: Verdict['kind'],
  table: Table,
  figures: readonly Figure[],
  peer: BackendName,
  least: number,
  what: string = peer === 'passt' ? 'each row' : 'each TCP row',
): Verdict {
  const requirement = `${least.toFixed(1)}× ${peer} in ${what}`;
  const rows = figures.map((figure) => ({ figure, ratio: table.ratio(figure, peer) }));
  if (rows.every(({ ratio }) => ratio === undefined))
    return { kind, requirement, measured: 'not measured', met: undefined };
  const short = rows.filter(({ ratio }) => ratio === undefined || ratio < least);
  const measured =
    short.length === 0
      ? `least ${text(Math.min(...rows.map(({ ratio }) => ratio!)))}`
      : `short in ${short.length} of ${rows.length}: ${short.map(({ figure, ratio }) => `${figure.id} ${text(ratio)}`).join(', ')}`;
  return { kind, requirement, measured, met: short.length === 0 };
}

function tapRatio(kind: Verdict['kind'], table: Table, id: string, peer: BackendName, least: number): Verdict {
  const figure = table.figures.find((candidate) => candidate.id === id);
  const ratio = figure && table.ratio(figure, peer);
  const way = id === TAP_UP ? 'up' : 'down';
  return {
    kind,
    requirement: `tap, MTU 1500, ${way}: ${least}× ${peer}`,
    measured: text(ratio),
    met: ratio === undefined ? undefined : ratio >= least,
  };
}

function atMost(table: Table, id: string, most: number, unit: string): Verdict {
  const figure = table.figures.find((candidate) => candidate.id === id);
  const value = figure && table.median(figure.id, 'slipway');
  return {
    kind: 'Must',
    requirement: `${figure?.title ?? id}: at most ${most} ${unit}`,
    measured: value === undefined ? 'not measured' : `${value.toFixed(2)} ${unit}`,
    met: value === undefined ? undefined : value <= most,
  };
}

function text(ratio: number | undefined): string {
  return ratio === undefined ? 'not measured' : `${ratio.toFixed(2)}×`;
}
