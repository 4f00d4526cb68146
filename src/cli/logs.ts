import { fstatSync } from 'node:fs';
import type { LogLevel } from '../config/log.ts';
import type { ControlLog } from '../control/network-control.ts';
import type { LogFields } from '../env/log.ts';
import { note, noteWithoutWaiting, STANDARD_ERROR } from './say.ts';

/** What sd-daemon(3) has before a line for syslog's priorities; the journal takes it off. */
const PRIORITIES: Readonly<Record<string, string>> = { debug: '<7>', info: '<6>', warn: '<4>', error: '<3>' };
const RANKS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];

/** A log whose level can change while it is written. */
export interface DaemonLog extends ControlLog {
  setLevel(level: LogLevel): void;
}

/** The daemon's log: pino on standard error, as JSON lines or, for people, as text. */
export async function daemonLog(level: LogLevel, json: boolean): Promise<DaemonLog> {
  const [{ pino }] = await Promise.all([import('pino'), noteWithoutWaiting()]);
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const isJournal = goesToJournal();
  // Synchronous: the last lines before an exit are the ones that matter, and there are few.
  const write = (line: string): void => {
    if (json) note(isJournal ? `${PRIORITIES[levelOf(line)] ?? ''}${line}` : line);
    else note(readable(line, isJournal));
  };
  const logger = pino(options, { write });
  const debug = (message: string, fields?: LogFields): void => logger.debug(fields ?? {}, message);
  return {
    get debug() {
      return logger.level === 'debug' ? debug : undefined;
    },
    setLevel: (next) => {
      logger.level = next;
    },
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
  };
}

/** Whether standard error is the journal's own socket (systemd.exec(5), JOURNAL_STREAM): it knows when a line came. */
function goesToJournal(): boolean {
  const stream = process.env.JOURNAL_STREAM;
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fstatSync(STANDARD_ERROR);
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

function levelOf(line: string): string {
  return String((JSON.parse(line) as { readonly level?: unknown }).level);
}

/**
 * `2026-12-01 12:00:01.250 +01:00 warn  message key=value`, for the journal `<4>message key=value`; a stack trace
 * follows below.
 */
function readable(line: string, isJournal: boolean): string {
  const { level, time, msg, stack, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const text = `${String(msg)}${facts(fields)}`;
  const below = stack === undefined ? [] : String(stack).split('\n');
  if (!isJournal)
    return `${localTime(new Date(String(time)))} ${String(level).padEnd(5)} ${[text, ...below].join('\n')}\n`;
  // Each line is an entry of its own there.
  return [text, ...below].map((one) => `${PRIORITIES[String(level)] ?? ''}${one}\n`).join('');
}

/** `2026-12-01 12:00:01.250 +01:00`, in the zone of the process. */
function localTime(date: Date): string {
  const minutes = -date.getTimezoneOffset();
  const local = new Date(date.getTime() + minutes * 60_000).toISOString();
  const two = (number: number): string => String(Math.floor(number)).padStart(2, '0');
  const zone = `${minutes < 0 ? '-' : '+'}${two(Math.abs(minutes) / 60)}:${two(Math.abs(minutes) % 60)}`;
  return `${local.slice(0, 10)} ${local.slice(11, 23)} ${zone}`;
}

/** ` key=value`, for each. */
function facts(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .map(([key, value]) => ` ${key}=${String(value)}`)
    .join('');
}

/** For commands that must not speak over the guest's own output: what matters, on standard error, without pino. */
export function quietLog(level: LogLevel): ControlLog {
  const isJournal = goesToJournal();
  const line =
    (rank: LogLevel) =>
    (message: string, { stack: _stack, ...fields }: LogFields = {}): void => {
      if (RANKS.indexOf(rank) < RANKS.indexOf(level)) return;
      note(`${isJournal ? PRIORITIES[rank] : ''}slipway: ${message}${facts(fields)}\n`);
    };
  const debug = level === 'debug' ? line('debug') : undefined;
  return { debug, info: line('info'), warn: line('warn'), error: line('error') };
}
