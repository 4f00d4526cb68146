import type { Command } from 'commander';
import type { DockerDemoFlags } from './docker-demo.ts';

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
}
