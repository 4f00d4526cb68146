import { existsSync } from 'node:fs';
import { EngineClient } from '../docker/engine/engine-client.ts';
import { type RunningContainer, runningContainers, type ShownPort } from '../docker/engine/running-containers.ts';
import { SlipwayError } from '../facts/errors.ts';
import { connectUnix } from '../host/unix-connection.ts';
import { DEMO_NAME, usualDockerSocket } from './control-place.ts';
import { absolute, configOf } from './options.ts';
import { STANDARD_OUTPUT, say } from './say.ts';
import { table } from './table.ts';

export interface DockerPsFlags {
  readonly socket?: readonly string[];
  readonly config?: string;
  readonly json?: boolean;
}

/** How long an engine may take for its list. */
const ANSWER_MS = 10_000;

interface Engine {
  readonly socket: string;
  readonly containers: readonly RunningContainer[];
  /** Why there is no list; '' where there is. */
  readonly error: string;
}

/** `slipway docker ps`: what runs in each engine that is served here. Returns 1 where one does not answer. */
export async function dockerPs(flags: DockerPsFlags): Promise<number> {
  const engines = await Promise.all((await places(flags)).map(asked));
  say(STANDARD_OUTPUT, flags.json === true ? `${JSON.stringify(engines)}\n` : asText(engines));
  return engines.some(({ error }) => error !== '') ? 1 : 0;
}

/** Those that are named, those of a file, or the usual ones that are there. */
async function places({ socket, config }: DockerPsFlags): Promise<readonly string[]> {
  if (socket !== undefined) return socket.map(absolute);
  if (config !== undefined) {
    const { docker } = await configOf({ config, hostLoopback: true });
    return docker.map((engine) => engine.socket || usualDockerSocket());
  }
  const usual = [usualDockerSocket(), usualDockerSocket(DEMO_NAME)].filter((one) => existsSync(one));
  if (usual.length > 0) return usual;
  throw new SlipwayError(
    'ERR_DOCKER_FAILED',
    `no engine is served at ${usualDockerSocket()}`,
    'slipway docker demo starts one; engines elsewhere are named by --config FILE or --socket PATH.',
  );
}

async function asked(socket: string): Promise<Engine> {
  try {
    const client = new EngineClient(() => connectUnix(socket), ANSWER_MS);
    return { socket, containers: await runningContainers(client), error: '' };
  } catch (error) {
    return { socket, containers: [], error: (error as Error).message };
  }
}

function asText(engines: readonly Engine[]): string {
  return engines
    .map(({ socket, containers, error }) => {
      const rows = containers.map(({ id, name, image, state, ports }) => {
        return [id.slice(0, 12), name, image, state, ports.map(portShown).join(', ')];
      });
      const lines = table(['CONTAINER', 'NAME', 'IMAGE', 'STATE', 'PORTS'], rows);
      return `${socket}\n${lines || (error === '' ? 'no container runs\n' : `does not answer: ${error}\n`)}`;
    })
    .join('\n');
}

function portShown({ protocol, hostIp, hostPort, containerPort }: ShownPort): string {
  const place = hostIp.includes(':') ? `[${hostIp}]` : hostIp;
  return `${place}:${hostPort}->${containerPort}/${protocol}`;
}
