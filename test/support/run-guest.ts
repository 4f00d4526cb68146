/**
 * A program for tests: runs a namespace guest without a network behind its tap, as `slipway run` would, and ends as
 * COMMAND did. Arguments: the options as JSON. A guest needs a process of its own to have streams of its own.
 */
import { SlipwayError } from '../../src/facts/errors.ts';
import { startNamespaceGuest } from '../../src/host/namespace/namespace-guest.ts';

try {
  const guest = await startNamespaceGuest(JSON.parse(process.argv[2]!));
  guest.proceed();
  const end = await guest.exited;
  if ('code' in end) process.exitCode = end.code;
  else process.kill(process.pid, end.signal);
} catch (error) {
  if (!(error instanceof SlipwayError)) throw error;
  console.error(`${error.code}: ${error.message} ${error.hint}`);
  process.exitCode =
    error.code === 'ERR_COMMAND_NOT_FOUND' ? 127 : error.code === 'ERR_COMMAND_NOT_EXECUTABLE' ? 126 : 1;
}
