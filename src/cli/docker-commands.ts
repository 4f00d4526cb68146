import type { Command } from 'commander';
import type { DockerContextFlags } from './docker-context.ts';
import type { DockerDemoFlags } from './docker-demo.ts';
import type { DockerPsFlags } from './docker-ps.ts';

/** The commands about Docker engines: `slipway docker …`. */
export function addDockerCommands(program: Command): void {
  const docker = program
    .command('docker')
    .description('Docker engines in guests, whose containers’ ports are this computer’s: "slipway docker demo"')
    .exitOverride();

  docker
    .command('demo')
    .description("this computer's dockerd in a guest, with its API on a socket here; needs root")
    .option('--socket <path>', 'where its API is served (default: docker-demo.sock beside the control socket)')
    .exitOverride()
    .action(async (flags: DockerDemoFlags) => (await import('./docker-demo.ts')).dockerDemo(flags));

  docker
    .command('ps')
    .description('the containers of each engine that is served here, and the ports that they publish')
    .option('--socket <path...>', 'ask these (default: docker.sock and docker-demo.sock beside the control socket)')
    .option('--config <file>', 'YAML file whose engines are asked')
    .option('--json', 'print one JSON value')
    .exitOverride()
    .action(async (flags: DockerPsFlags) => process.exit(await (await import('./docker-ps.ts')).dockerPs(flags)));

  const context = docker
    .command('context')
    .description('contexts of the docker command: "slipway docker context create", then "docker context use slipway"')
    .exitOverride();

  context
    .command('create')
    .description('have docker make one; without docker, print its command')
    .argument('[name]', 'what it is called', 'slipway')
    .option('--socket <path>', "the engine's socket (default: docker.sock beside the control socket)")
    .exitOverride()
    .action(async (name: string, flags: DockerContextFlags) =>
      (await import('./docker-context.ts')).dockerContextCreate(name, flags),
    );

  context
    .command('rm')
    .description('have docker remove it; without docker, print its command')
    .argument('[name]', 'what it is called', 'slipway')
    .exitOverride()
    .action(async (name: string) => (await import('./docker-context.ts')).dockerContextRm(name));
}
