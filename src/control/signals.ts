import { constants } from 'node:os';

const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Ends the process properly on SIGINT, SIGTERM and SIGHUP: `stop`, then exit with 128 + signal. A second signal does not
 * wait any longer. Returns a function that takes the handlers off again.
 */
export function endOnSignals(stop: () => Promise<void>): () => void {
  let ending = false;
  const handler = (signal: NodeJS.Signals): void => {
    const status = 128 + constants.signals[signal];
    if (ending) process.exit(status);
    ending = true;
    stop().then(
      () => process.exit(status),
      () => process.exit(status),
    );
  };
  for (const signal of ENDING) process.on(signal, handler);
  return () => {
    for (const signal of ENDING) process.off(signal, handler);
  };
}
