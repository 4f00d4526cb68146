#!/usr/bin/env node
import './quiet-signals.ts';
import { stat } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { DEFAULT_MTU, DEFAULT_RUN_MTU } from '../config/network.ts';
import { LISTEN_FORMS } from '../config/listen.ts';
import { addControlCommands } from './control-commands.ts';
import { addDockerCommands } from './docker-commands.ts';
import type { DemoFlags } from './demo.ts';
import type { CorefileFlags, LookupFlags } from './dns.ts';
import { COREFILE_HELP, LOOKUP_HELP } from './dns-help.ts';
import type { InstallFlags, ServeFlags } from './helper.ts';
import { addNetworkFlags } from './options.ts';
import { describeError, STATUS_USAGE, statusForFailure, statusOf } from './print-error.ts';
import { exitInSpiteOfLookups } from './prompt-exit.ts';
import type { RunFlags } from './run.ts';
import { STANDARD_ERROR, say } from './say.ts';
import type { UpFlags } from './up.ts';
import { version } from './version.ts';

// Each name lookup holds a thread of libuv's pool for as long as it takes, and libuv gives lookups half of the pool at
// most: with the default of four, two dead names would stall all others. 128 makes 64 lookups (`HostResolver`) and
// leaves 64 for files; it costs half a megabyte more than 64 did. The size is read when the pool is first used, here,
// so that the guest's command does not inherit it.
if (process.env.UV_THREADPOOL_SIZE === undefined) {
  process.env.UV_THREADPOOL_SIZE = '128';
  stat('/', () => {});
  delete process.env.UV_THREADPOOL_SIZE;
}
exitInSpiteOfLookups();

const EXAMPLES = `
Examples:
  slipway run -- curl -I https://example.org       one command in a network of its own
  slipway run -p 8080:80 -- nginx -g 'daemon off;' a command whose port 80 is this computer's 8080
  slipway run --no-host-loopback -- bash           a shell that cannot reach this computer's own services
  slipway up --listen qemu+unix:///tmp/vm.sock     the network for virtual machines
  slipway ports expose 8080:80                     the machine's port 80 as this computer's 8080
  slipway demo                                     a live checklist of what works here`;

const program = new Command('slipway')
  .description('A private network for virtual machines and commands, made of ordinary sockets of this computer.')
  .version(version(), '-V, --version')
  .enablePositionalOptions()
  .showSuggestionAfterError()
  .exitOverride()
  .addHelpText('after', EXAMPLES);

addNetworkFlags(program.command('up'), DEFAULT_MTU)
  .description('the network for guests that attach at the given addresses, in the foreground')
  .option('--listen <url...>', `where guests attach: ${LISTEN_FORMS}`)
  .option(
    '--state <folder>',
    'folder that keeps leases over a restart (default: $XDG_STATE_HOME/slipway or ~/.local/state/slipway)',
  )
  .option(
    '-p, --publish <ports>',
    'a port of the first guest, written as for docker run -p: 8080:80; may be repeated',
    repeated,
  )
  .option(
    '--forward-sock <path>',
    'a unix socket here that leads to one in the first guest, through its sshd; may be repeated',
    repeated,
  )
  .option('--forward-dest <path>', 'that socket in the guest', repeated)
  .option('--forward-user <name>', 'user that its sshd lets in', repeated)
  .option('--forward-identity <file>', 'private key of that user', repeated)
  .option('--control <path>', 'where the control API listens, or none (default: $XDG_RUNTIME_DIR/slipway/control.sock)')
  .option('--json', 'print JSON lines')
  .exitOverride()
  .action(async (flags: UpFlags) => (await import('./up.ts')).up(flags));

addNetworkFlags(program.command('run'), DEFAULT_RUN_MTU)
  .description('a command in a fresh network namespace whose only way out is Slipway')
  .argument('<command...>', 'the command and its arguments, after --')
  .option(
    '-p, --publish <ports>',
    'a port of the command, written as for docker run -p: 8080:80; ports at its 127.0.0.1 work too; may be repeated',
    repeated,
  )
  .option(
    '--control <path>',
    'open a control socket there; clients need the token of SLIPWAY_CONTROL_TOKEN (default: none)',
  )
  .passThroughOptions()
  .exitOverride()
  .action(async (command: string[], flags: RunFlags) => {
    try {
      const { run } = await import('./run.ts');
      process.exit(await run(command, flags));
    } catch (error) {
      fail(error, statusForFailure(error));
    }
  });

program
  .command('demo', { isDefault: false })
  .description('a network with an embedded guest, and a live checklist of what works')
  .option('--host-engine <name>', 'auto, epoll, node (default: auto)')
  .option('--json', 'print JSON lines')
  .exitOverride()
  .action(async (flags: DemoFlags) => process.exit(await (await import('./demo.ts')).demo(flags)));

const dns = program
  .command('dns')
  .description('what names mean here: "slipway dns lookup NAME --explain", "slipway dns corefile"')
  .exitOverride();

dns
  .command('lookup')
  .description('the answer that a guest would get; --explain tells each step')
  .argument('<name>', 'a domain name, or an address')
  .argument('[type]', 'A, AAAA, MX, TXT, SRV, TYPE65, … (default: A, for an address PTR)')
  .option('--explain', 'tell each step in words')
  .option('--dnssec', 'ask for signatures (the DO bit)')
  .option('--internal', "ask the internal server, which answers only for Slipway's own zones")
  .option('--config <file>', 'YAML file with the network, zones, rules and hosts to use; no daemon is asked')
  .option('--control <path>', "the daemon's control socket, or none (default: that of this user's daemon, if it runs)")
  .option('--json', 'print one JSON object')
  .addHelpText('after', LOOKUP_HELP)
  .exitOverride()
  .action(async (name: string, type: string | undefined, flags: LookupFlags) =>
    process.exit(await (await import('./dns.ts')).dnsLookup(name, type, flags)),
  );

dns
  .command('corefile')
  .description('a Corefile for a CoreDNS in the virtual machine')
  .option('--gateway <ip>', 'address of the gateway (default: of the configuration)')
  .option('--bind <ip...>', 'where CoreDNS listens (default: 127.0.0.1 172.17.0.1)')
  .option('--config <file>', 'YAML file with the network and zones to use')
  .addHelpText('after', COREFILE_HELP)
  .exitOverride()
  .action(async (flags: CorefileFlags) => (await import('./dns.ts')).dnsCorefile(flags));

const helper = program
  .command('helper')
  .description('the privileged helper, which binds ports below 1024 for the users on its list and does nothing else')
  .exitOverride();

addAllowFlags(helper.command('serve'))
  .description('serve; systemd starts it ("slipway helper install") with one capability and no way to another')
  .option('--socket <path>', 'listen there instead of at the socket from systemd')
  .option('--idle-exit <seconds>', 'end after so long without a request')
  .exitOverride()
  .action(async (flags: ServeFlags) => (await import('./helper.ts')).helperServe(flags));

addAllowFlags(helper.command('install'))
  .description('print (--print) or install (--yes, as root) the units that start the helper')
  .option('--print', 'print the units and change nothing')
  .option('--yes', 'write the units and start the socket')
  .option('--platform <name>', 'systemd, launchd')
  .option('--socket <path>', 'where the helper listens (default: /run/slipway-helper.sock)')
  .option('--to <folder>', 'write the units there without telling systemd')
  .exitOverride()
  .action(async (flags: InstallFlags) => (await import('./helper.ts')).helperInstall(flags));

helper
  .command('uninstall')
  .description('stop the helper and remove its units (--yes, as root)')
  .option('--yes', 'do it')
  .option('--to <folder>', 'where the units are')
  .exitOverride()
  .action(async (flags: InstallFlags) => (await import('./helper.ts')).helperUninstall(flags));

// Reads its own arguments: inside the virtual machine the same code runs from one file without a package.
program
  .command('guest')
  .description('what runs inside a virtual machine: "slipway guest dns" is its DNS server')
  .argument('[args...]')
  .helpOption(false)
  .allowUnknownOption()
  .passThroughOptions()
  .exitOverride()
  .action(async (args: string[]) => (await import('./guest.ts')).guest(args));

/** The users that the helper serves; without any, `install` uses the caller. */
function addAllowFlags(command: Command): Command {
  return command
    .option('--allow-user <name...>', 'serve this user')
    .option('--allow-uid <number...>', 'serve this user, by number')
    .option('--allow-group <name...>', 'serve members of this group')
    .option('--allow-gid <number...>', 'serve members of this group, by number');
}

addDockerCommands(program);
addControlCommands(program, fail);

/** A flag that may be repeated, each time with one value. */
function repeated(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function fail(error: unknown, status: number): never {
  say(STANDARD_ERROR, describeError(error));
  process.exit(status);
}

try {
  await program.parseAsync();
} catch (error) {
  // commander has printed its own: help and version end well, the rest is a slip of the person's.
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : STATUS_USAGE);
  fail(error, statusOf(error));
}
