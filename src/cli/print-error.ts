import { SlipwayError } from '../facts/errors.ts';

const STATUS_FAILED = 1;
export const STATUS_USAGE = 2;

/**
 * What `docker run` and `env` end with too: our own failure, a command that cannot be executed, one that does not
 * exist.
 */
export const STATUS_OWN_FAILURE = 125;
const STATUS_NOT_EXECUTABLE = 126;
const STATUS_NOT_FOUND = 127;

/**
 * The exit status for a failure that has none of its own: a mistake on the command line differs from a later failure.
 */
export function statusOf(error: unknown): number {
  const isSlip = error instanceof SlipwayError && (error.code === 'ERR_USAGE' || error.code === 'ERR_LISTEN_URL');
  return isSlip ? STATUS_USAGE : STATUS_FAILED;
}

/** The status for a failure of `run` itself. */
export function statusForFailure(error: unknown): number {
  if (!(error instanceof SlipwayError)) return STATUS_OWN_FAILURE;
  if (error.code === 'ERR_COMMAND_NOT_FOUND') return STATUS_NOT_FOUND;
  return error.code === 'ERR_COMMAND_NOT_EXECUTABLE' ? STATUS_NOT_EXECUTABLE : STATUS_OWN_FAILURE;
}

/** An error as a person reads it: what and why, what to do, the code. Anything unforeseen comes with its stack. */
export function describeError(error: unknown): string {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  // Reading our own source took the last one, so nothing can be loaded to say it better.
  if (code === 'EMFILE' || code === 'ENFILE') {
    return 'slipway: this process may not open more files\n  Raise the limit: ulimit -n 4096.\n  (ERR_PROCESS_LIMITS, see docs/errors.md)\n';
  }
  if (!(error instanceof SlipwayError)) {
    return `slipway: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`;
  }
  const hint = error.hint === '' ? '' : `\n  ${error.hint}`;
  return `slipway: ${error.message}${hint}\n  (${error.code}, see docs/errors.md)\n`;
}
