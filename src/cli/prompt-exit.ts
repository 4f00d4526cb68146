import { exitNow } from '../host/exit-now.ts';

/** Node's name for a request to libuv's getaddrinfo. */
const LOOKUP = 'GetAddrInfoReqWrap';

/**
 * Lets the process end at once although names are being looked up. A normal exit waits for libuv's threads, and a
 * getaddrinfo whose nameservers are dead returns only after ten seconds or more. So while lookups are under way the
 * process runs all other exit listeners and then leaves by _exit(2).
 */
export function exitInSpiteOfLookups(): void {
  process.on('exit', function leave(code) {
    if (!process.getActiveResourcesInfo().includes(LOOKUP)) return;
    // Listeners that were added after this one have not run yet.
    for (const other of process.listeners('exit')) if (other !== leave) other.call(process, code);
    exitNow(Number(process.exitCode ?? code));
  });
}
