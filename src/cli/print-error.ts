import { SlipwayError } from '../config/errors.ts';

/** An error as a person reads it: what and why, what to do, the code. Anything unforeseen comes with its stack. */
export function describeError(error: unknown): string {
  if (!(error instanceof SlipwayError)) {
    return `slipway: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`;
  }
  const hint = error.hint === '' ? '' : `\n  ${error.hint}`;
  return `slipway: ${error.message}${hint}\n  (${error.code}, see docs/errors.md)\n`;
}
