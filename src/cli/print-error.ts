import { SlipwayError } from '../config/errors.ts';

const STATUS_FAILED = 1;
export const STATUS_USAGE = 2;

/** The exit status for a failure that has none of its own: a slip on the command line is told from what went wrong later. */
export function statusOf(error: unknown): number {
  const isSlip = error instanceof SlipwayError && (error.code === 'ERR_USAGE' || error.code === 'ERR_LISTEN_URL');
  return isSlip ? STATUS_USAGE : STATUS_FAILED;
}

/** An error as a person reads it: what and why, what to do, the code. Anything unforeseen comes with its stack. */
export function describeError(error: unknown): string {
  if (!(error instanceof SlipwayError)) {
    return `slipway: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`;
  }
  const hint = error.hint === '' ? '' : `\n  ${error.hint}`;
  return `slipway: ${error.message}${hint}\n  (${error.code}, see docs/errors.md)\n`;
}
