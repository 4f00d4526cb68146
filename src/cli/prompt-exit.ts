import { exitNow } from '../host/exit-now.ts';

/** How libuv's requests for getaddrinfo are called in Node. */
const LOOKUP = 'GetAddrInfoReqWrap';

/**
 * Lets the process end at once although names are being looked up. The C library's exit runs libuv's, which waits for its
 * threads, and a getaddrinfo whose nameservers are dead comes back after ten seconds or more: whoever sent SIGTERM would
 * have lost patience. So then, behind everybody else who listens for the exit, the process leaves by _exit(2).
 */
export function exitInSpiteOfLookups(): void {
  process.on('exit', function leave(code) {
    if (!process.getActiveResourcesInfo().includes(LOOKUP)) return;
    // Who came later still has something to put away.
    for (const other of process.listeners('exit')) if (other !== leave) other.call(process, code);
    exitNow(Number(process.exitCode ?? code));
  });
}
