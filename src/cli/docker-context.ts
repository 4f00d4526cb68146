import { execFileSync } from 'node:child_process';
import { SlipwayError } from '../facts/errors.ts';
import { usualDockerSocket } from './control-place.ts';
import { absolute } from './options.ts';
import { STANDARD_OUTPUT, say } from './say.ts';

export interface DockerContextFlags {
  readonly socket?: string;
}

/** `slipway docker context create`: a context of docker's for an engine's socket here. */
export function dockerContextCreate(name: string, { socket }: DockerContextFlags): void {
  const place = socket === undefined ? usualDockerSocket() : absolute(socket);
  docker(['context', 'create', name, '--description', 'Slipway', '--docker', `host=unix://${place}`]);
  say(STANDARD_OUTPUT, `docker context use ${name}\n`);
}

/** `slipway docker context rm`: docker refuses the one that is in use. */
export function dockerContextRm(name: string): void {
  docker(['context', 'rm', name]);
}

/** Has docker do it, whose files contexts are; prints the line where there is no docker. */
function docker(args: readonly string[]): void {
  try {
    execFileSync('docker', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (cause) {
    const { code, stderr } = cause as NodeJS.ErrnoException & { readonly stderr?: Buffer };
    if (code !== 'ENOENT') {
      const said = String(stderr ?? '').trim() || (cause as Error).message;
      throw new SlipwayError('ERR_DOCKER_FAILED', `docker ${args.slice(0, 3).join(' ')}: ${said}`, '', { cause });
    }
    say(STANDARD_OUTPUT, `docker ${args.join(' ')}\n`);
  }
}
