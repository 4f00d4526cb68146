import type { LogLevel } from '../config/config.ts';
import type { ControlLog } from '../control/network-control.ts';
import type { LogFields } from '../env/log.ts';
import { STANDARD_ERROR, say } from './say.ts';

/** The daemon's log: pino on standard error, as JSON lines or, for people, as text. */
export async function daemonLog(level: LogLevel, json: boolean): Promise<ControlLog> {
  const { pino } = await import('pino');
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  // Synchronous: the last lines before an exit are the ones that matter, and there are few.
  const logger = pino(options, { write: (line: string) => say(STANDARD_ERROR, json ? line : readable(line)) });
  return {
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
  };
}

/** `12:00:01 warn  message key=value`; a stack stands below. */
function readable(line: string): string {
  const { level, time, msg, stack, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const clock = String(time).slice(11, 19);
  const below = stack === undefined ? '' : `\n${String(stack)}`;
  return `${clock} ${String(level).padEnd(5)} ${String(msg)}${facts(fields)}${below}\n`;
}

/** ` key=value`, for each. */
function facts(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .map(([key, value]) => ` ${key}=${String(value)}`)
    .join('');
}

/** For commands that must not speak over the guest's own output: what matters, on standard error, without pino. */
export function quietLog(level: LogLevel): ControlLog {
  const ranks: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];
  const line =
    (rank: LogLevel) =>
    (message: string, { stack: _stack, ...fields }: LogFields = {}): void => {
      if (ranks.indexOf(rank) < ranks.indexOf(level)) return;
      say(STANDARD_ERROR, `slipway: ${message}${facts(fields)}\n`);
    };
  return { info: line('info'), warn: line('warn'), error: line('error') };
}
