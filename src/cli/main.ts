#!/usr/bin/env node
import { stat } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { DEFAULT_MTU, DEFAULT_RUN_MTU } from '../config/defaults.ts';
import type { DemoFlags } from './demo.ts';
import { addNetworkFlags, type NetworkFlags } from './options.ts';
import { describeError } from './print-error.ts';
import { STANDARD_ERROR, say } from './say.ts';
import type { UpFlags } from './up.ts';
import { version } from './version.ts';

// Each name lookup holds a thread of libuv's pool for as long as it takes, and libuv gives lookups half of the pool at most: with
// the default of four, two dead names would stall all others. 128 makes 64 lookups (`HostResolver`) and leaves 64 for files; it
// costs half a megabyte more than 64 did. The size is read when the pool is first used, here, so that the guest's command
// does not inherit it.
if (process.env.UV_THREADPOOL_SIZE === undefined) {
  process.env.UV_THREADPOOL_SIZE = '128';
  stat('/', () => {});
  delete process.env.UV_THREADPOOL_SIZE;
}

const EXAMPLES = `
Examples:
  slipway run -- curl -I https://example.org       one command in a network of its own
  slipway run --no-host-loopback -- bash           a shell that cannot reach this computer's own services
  slipway up --listen qemu+unix:///tmp/vm.sock     the network for virtual machines
  slipway demo                                     a live checklist of what works here`;

const STATUS_USAGE = 2;

const program = new Command('slipway')
  .description('A network of its own for virtual machines and commands, out of ordinary sockets of this computer.')
  .version(version(), '-V, --version')
  .enablePositionalOptions()
  .showSuggestionAfterError()
  .exitOverride()
  .addHelpText('after', EXAMPLES);

addNetworkFlags(program.command('up'), DEFAULT_MTU)
  .description('the network for guests that attach at the given addresses, in the foreground')
  .option(
    '--listen <url...>',
    'where guests attach: qemu+unix:///path[?connect] or qemu+tcp://127.0.0.1:port[?connect]',
  )
  .option(
    '--state <folder>',
    'where leases outlive a restart (default: $XDG_STATE_HOME/slipway or ~/.local/state/slipway)',
  )
  .option('--json', 'print JSON lines')
  .exitOverride()
  .action(async (flags: UpFlags) => (await import('./up.ts')).up(flags));

addNetworkFlags(program.command('run'), DEFAULT_RUN_MTU)
  .description('a command in a fresh network namespace whose only way out is Slipway')
  .argument('<command...>', 'the command and its arguments, after --')
  .passThroughOptions()
  .exitOverride()
  .action(async (command: string[], flags: NetworkFlags) => {
    const { run, statusForFailure } = await import('./run.ts');
    try {
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

function fail(error: unknown, status: number): never {
  say(STANDARD_ERROR, describeError(error));
  process.exit(status);
}

try {
  await program.parseAsync();
} catch (error) {
  // commander has printed its own: help and version end well, the rest is a slip of the person's.
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : STATUS_USAGE);
  fail(error, 1);
}
