import { tmpdir } from 'node:os';
import path from 'node:path';
import { defaultControlSocket } from '../config/control.ts';

/** Where the token of a daemon that wants one is looked for, by clients and by `slipway run --control`. */
export const TOKEN_VARIABLE = 'SLIPWAY_CONTROL_TOKEN';

/** Where the control socket of this user's daemon is unless told. */
export function usualControlSocket(): string {
  return defaultControlSocket(process.env, process.getuid?.() ?? 0, tmpdir());
}

/** Names the socket of `slipway docker demo`, which is none of the daemon's. */
export const DEMO_NAME = 'docker-demo';

/** Where the API of an engine is served unless told: beside the control socket. */
export function usualDockerSocket(name = 'docker'): string {
  return path.join(path.dirname(usualControlSocket()), `${name}.sock`);
}
