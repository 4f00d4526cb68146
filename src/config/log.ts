import type { ZodType } from 'zod';
import type { SchemaParts } from './schema-parts.ts';
import { oneOf, type ValueParser } from './values.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The key `log` as a person said it. */
export interface LogInput {
  readonly level?: LogLevel | undefined;
}

export interface LogConfig {
  readonly level: LogLevel;
}

export const logLevel: ValueParser<LogLevel> = oneOf(...LOG_LEVELS);

export function logSchema({ z, value }: SchemaParts): ZodType<LogInput> {
  return z.strictObject({ level: value(logLevel) }).partial();
}

export function resolveLog({ level = 'info' }: LogInput): LogConfig {
  return { level };
}
