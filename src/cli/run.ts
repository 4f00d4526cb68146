import { DEFAULT_RUN_MTU } from '../config/defaults.ts';
import { SlipwayError } from '../config/errors.ts';
import { startNetwork } from '../control/start-network.ts';
import { startEmbeddedGuest } from './embedded-guest.ts';
import { quietLog } from './logs.ts';
import { configOf, type NetworkFlags } from './options.ts';
import { describeError } from './print-error.ts';
import { STANDARD_ERROR, say } from './say.ts';

/** What `docker run` and `env` end with too: our own failure, a command that cannot be executed, one that does not exist. */
export const STATUS_OWN_FAILURE = 125;
const STATUS_NOT_EXECUTABLE = 126;
const STATUS_NOT_FOUND = 127;

/** `slipway run`: COMMAND in a namespace whose only way out is Slipway. Returns the status to exit with. */
export async function run(command: readonly string[], flags: NetworkFlags): Promise<number> {
  const config = await configOf(flags, { network: { mtu: DEFAULT_RUN_MTU }, log: { level: 'warn' } });
  // Its guest is gone with it: nothing is worth keeping.
  const network = await startNetwork({ ...config, state: '' }, quietLog(config.log.level), (error) => {
    say(STANDARD_ERROR, describeError(error));
    process.exit(STATUS_OWN_FAILURE);
  });
  try {
    const guest = await startEmbeddedGuest(network, command, { forwardSignals: true });
    return await guest.status;
  } finally {
    await network.stop();
  }
}

/** The status for a failure of `run` itself. */
export function statusForFailure(error: unknown): number {
  if (!(error instanceof SlipwayError)) return STATUS_OWN_FAILURE;
  if (error.code === 'ERR_COMMAND_NOT_FOUND') return STATUS_NOT_FOUND;
  return error.code === 'ERR_COMMAND_NOT_EXECUTABLE' ? STATUS_NOT_EXECUTABLE : STATUS_OWN_FAILURE;
}
