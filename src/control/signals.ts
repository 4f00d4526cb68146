import { constants } from 'node:os';
import { isatty } from 'node:tty';
import { hangupIsIgnored } from '../host/hangup.ts';

/** Those whose default action ends a process, as far as a person, a supervisor or the system sends them. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGXCPU', 'SIGALRM', 'SIGPWR'] as const;

export interface SignalRules {
  /** The exit status after an end that went well; 128 + signal unless told, as of one who was interrupted. */
  readonly status?: number;
  /** What SIGHUP asks for, unless it is the hangup of this process's own terminal. Without it SIGHUP ends. */
  readonly reload?: () => void;
}

/**
 * Ends the process properly on signals: `stop`, then exit. A second signal does not wait any longer. SIGHUP does
 * nothing where it was ignored when the process was started (`hangupIsIgnored`). Returns a function that takes the
 * handlers off again.
 */
export function stopOnSignals(stop: () => Promise<void>, { status, reload }: SignalRules = {}): () => void {
  let ending = false;
  const end = (signal: NodeJS.Signals): void => {
    const interrupted = 128 + constants.signals[signal];
    if (ending) process.exit(interrupted);
    ending = true;
    stop().then(
      () => process.exit(status ?? interrupted),
      () => process.exit(interrupted),
    );
  };
  const ignored = hangupIsIgnored();
  const terminals = [0, 1, 2].filter((fd) => isatty(fd));
  const hangup = (): void => {
    if (ignored) return;
    // A terminal that has gone is none any more.
    const isOurs = terminals.some((fd) => !isatty(fd));
    if (reload === undefined || isOurs) end('SIGHUP');
    else if (!ending) reload();
  };
  for (const signal of ENDING) process.on(signal, end);
  process.on('SIGHUP', hangup);
  return () => {
    for (const signal of ENDING) process.off(signal, end);
    process.off('SIGHUP', hangup);
  };
}
