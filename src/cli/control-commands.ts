import type { Command } from 'commander';
import { FORWARD_SOURCES, PROXY_HEADERS } from '../config/forward.ts';
import type { ExposeFlags, PortsFlags, UnexposeFlags } from './ports.ts';
import { EXPOSE_HELP, PORTS_HELP, STATUS_HELP, UNEXPOSE_HELP } from './ports-help.ts';
import { statusOf } from './print-error.ts';
import type { StatusFlags } from './status.ts';

/** Ends the process with a message; `status` is for failures that have none of their own. */
type Fail = (error: unknown, status: number) => never;

const STATUS_NOT_FOUND = 3;
const STATUS_NO_DAEMON = 4;

const STATUS_OF: Readonly<Record<string, number>> = {
  ERR_FORWARD_NOT_FOUND: STATUS_NOT_FOUND,
  ERR_CONTROL_UNREACHABLE: STATUS_NO_DAEMON,
};

/** The commands that ask a running daemon: `slipway ports …`, `slipway status`. */
export function addControlCommands(program: Command, fail: Fail): void {
  const run = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      fail(error, STATUS_OF[(error as { readonly code?: string }).code ?? ''] ?? statusOf(error));
    }
  };
  const ports = program
    .command('ports')
    .description('ports of this computer that reach a guest: "slipway ports expose 8080:80"')
    .addHelpText('after', PORTS_HELP)
    .exitOverride();

  asking(ports.command('ls'))
    .description('what is published, and its state')
    .addHelpText('after', PORTS_HELP)
    .action((flags: PortsFlags) => run(async () => (await import('./ports.ts')).portsLs(flags)));

  asking(ports.command('expose'))
    .description('publishes ports of a guest, as docker run -p does')
    .argument('<ports...>', '[[ADDRESS:]HOSTPORT:]GUESTPORT[/tcp|udp], as in 8080:80')
    .option('--guest <ip>', 'address of the guest (default: the only one, or the first)')
    .option('--source <who>', `what the guest sees as its peer: ${FORWARD_SOURCES.join(', ')} (default: client)`)
    .option(
      '--proxy <version>',
      `a PROXY header ahead of the client's bytes: ${PROXY_HEADERS.join(', ')} (default: none)`,
    )
    .option('--wait <seconds>', 'how long a client is held while the guest does not answer (default: 0, it is refused)')
    .option('--ipv4-only', 'IPv4 only when ADDRESS is left out: half the descriptors')
    .option('--unix <path>', 'listen at this socket instead of at a port; PORTS is the port of the guest')
    .option('--persistent', 'publish again whenever the daemon starts')
    .addHelpText('after', EXPOSE_HELP)
    .action((texts: string[], flags: ExposeFlags) =>
      run(async () => (await import('./ports.ts')).portsExpose(texts, flags)),
    );

  asking(ports.command('unexpose'))
    .description('closes forwards; their connections go on')
    .argument('<forwards...>', 'as "slipway ports ls" shows them: 8080, 127.0.0.1:53/udp, a path')
    .option('--reset', 'reset the connections too')
    .addHelpText('after', UNEXPOSE_HELP)
    .action((names: string[], flags: UnexposeFlags) =>
      run(async () => (await import('./ports.ts')).portsUnexpose(names, flags)),
    );

  asking(program.command('status'))
    .description('the running daemon: guests, leases, published ports, and counters')
    .addHelpText('after', STATUS_HELP)
    .action((flags: StatusFlags) => run(async () => (await import('./status.ts')).status(flags)));
}

function asking(command: Command): Command {
  return command
    .option('--control <path>', "the daemon's control socket (default: that of this user's daemon)")
    .option('--json', 'print one JSON value')
    .exitOverride();
}
