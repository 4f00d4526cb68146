/** Where dist/guest.mjs begins: the file that runs inside the virtual machine, without the rest of Slipway. */
import './quiet-signals.ts';
import { guest } from './guest.ts';
import { describeError, statusOf } from './print-error.ts';
import { STANDARD_ERROR, say } from './say.ts';

try {
  await guest(process.argv.slice(2));
} catch (error) {
  say(STANDARD_ERROR, describeError(error));
  process.exit(statusOf(error));
}
