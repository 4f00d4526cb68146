import type { Clock } from '../../../env/clock.ts';

/** Clients wait for five seconds (glibc, musl, dig): the answer that nobody answers must come before. */
export const GIVE_UP_MS = 4500;

/** A call that is to come. */
export interface DnsTimer {
  /** Idempotent; harmless after the call. */
  cancel(): void;
}

/** Time as the DNS services see it, so that tests move it by hand. */
export interface DnsTimers extends Clock {
  /** Calls once, `ms` from now. */
  after(ms: number, call: () => void): DnsTimer;
}

/** The process's own time. Nothing waits for these timers: they do not hold the process. */
export const systemTimers: DnsTimers = {
  nowMs: () => performance.now(),
  after: (ms, call) => {
    const timeout = setTimeout(call, ms);
    timeout.unref();
    return { cancel: () => clearTimeout(timeout) };
  },
};
