/**
 * The terminal that slipway was started from, while COMMAND runs. COMMAND shares slipway's process group, as under
 * `env` or `nice`, so Ctrl-C and Ctrl-Z reach both from the kernel, pipelines keep working, and a shell that is COMMAND
 * takes the terminal by itself. What is left to do: to know which signals COMMAND has had already, and to take the
 * terminal back from a group that died with it.
 */
import { constants } from 'node:os';
import { close, declare, kill, O_CLOEXEC, O_NOCTTY, O_RDWR, open } from './libc.ts';

const tcgetpgrp: (fd: number) => number = declare('int tcgetpgrp(int fd)');
const tcsetpgrp: (fd: number, group: number) => number = declare('int tcsetpgrp(int fd, int group)');
const getpgrp: () => number = declare('int getpgrp()');
const sigaddset: (set: Uint8Array, signal: number) => number = declare('int sigaddset(void *set, int signal)');
const sigmask: (how: number, set: Uint8Array, old: Uint8Array) => number = declare(
  'int pthread_sigmask(int how, void *set, void *old)',
);
const SIG_BLOCK = 0;
const SIG_SETMASK = 2;
/** sizeof(sigset_t) */
const SIGSET_BYTES = 128;

const FORWARDED = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGCONT'] as const;
/** A terminal sends these to its whole foreground group, or its shell does, so COMMAND has them already. */
const FROM_TERMINAL: readonly string[] = ['SIGINT', 'SIGQUIT', 'SIGWINCH', 'SIGCONT'];

/**
 * Passes this process's signals on by `send`, all but the `ignored` ones, until the returned function is called, which
 * also takes the terminal back.
 */
export function forwardSignals(
  send: (signal: NodeJS.Signals) => void,
  ignored: readonly NodeJS.Signals[] = [],
): () => void {
  const terminal = open('/dev/tty', O_RDWR | O_NOCTTY | O_CLOEXEC);
  const atStart = terminal !== -1 && tcgetpgrp(terminal) === getpgrp();
  const forward = (signal: NodeJS.Signals): void => {
    const hadIt = terminal !== -1 && FROM_TERMINAL.includes(signal) && tcgetpgrp(terminal) === getpgrp();
    if (!hadIt && !ignored.includes(signal)) send(signal);
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  return () => {
    for (const signal of FORWARDED) process.off(signal, forward);
    if (atStart) takeBack(terminal);
    if (terminal !== -1) close(terminal);
  };
}

/** Only from a group without a living process: one that lives got the terminal from the shell that started us. */
function takeBack(terminal: number): void {
  const group = tcgetpgrp(terminal);
  if (group === getpgrp() || (group > 0 && kill(-group, 0) === 0)) return;
  const blocked = Buffer.alloc(SIGSET_BYTES);
  const before = Buffer.alloc(SIGSET_BYTES);
  sigaddset(blocked, constants.signals.SIGTTOU);
  sigmask(SIG_BLOCK, blocked, before);
  tcsetpgrp(terminal, getpgrp());
  sigmask(SIG_SETMASK, before, blocked);
}
