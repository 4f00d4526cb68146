import { SlipwayError } from '../facts/errors.ts';
import { FORWARD_DEFAULTS, type ForwardSpec, type ForwardStatus, SSH_PORT } from '../config/forward.ts';
import { keyFile, sshUser } from '../config/forwards.ts';
import { parsePortSpec } from '../config/port-spec.ts';
import { socketPath, type ValueParser } from '../config/values.ts';
import type { RunningNetwork } from '../control/start-network.ts';
import { absolute, parsedFlag } from './options.ts';

/**
 * What `slipway up` publishes from the start, and `run` the ports of. The four of a socket are gvproxy's, one of each
 * for every socket.
 */
export interface PublishFlags {
  readonly publish?: readonly string[];
  readonly forwardSock?: readonly string[];
  readonly forwardDest?: readonly string[];
  readonly forwardUser?: readonly string[];
  readonly forwardIdentity?: readonly string[];
}

/** In the order of the flags, ports first. Throws ERR_USAGE. */
export function publishedBy(flags: PublishFlags): ForwardSpec[] {
  return [...(flags.publish ?? []).flatMap(publishFlag), ...publishedSockets(flags)];
}

/** What `docker run -p` would make of it. */
export function publishFlag(text: string): ForwardSpec[] {
  const ports = parsedFlag('--publish', text, (raw) => parsePortSpec(String(raw)));
  return ports.map((one) => ({ ...FORWARD_DEFAULTS, ...one, owner: 'cli' }));
}

/** Opens one. Rejects with what keeps it from standing: the owner of a port in use, a twin of the configuration. */
export async function publish(network: RunningNetwork, spec: ForwardSpec): Promise<ForwardStatus> {
  try {
    return await network.forwards.open(spec);
  } catch (error) {
    if (!(error instanceof SlipwayError) || error.code !== 'ERR_FORWARD_EXISTS') throw error;
    // Its own hint asks the daemon, which ends with this error.
    throw new SlipwayError(
      error.code,
      error.message,
      'Remove one of the two, from the flags or from the file of --config.',
    );
  }
}

/** Unix sockets of the first guest through its sshd, as `gvproxy -forward-sock` has them. */
function publishedSockets(flags: PublishFlags): ForwardSpec[] {
  const { forwardSock = [], forwardDest = [], forwardUser = [], forwardIdentity = [] } = flags;
  if ([forwardDest, forwardUser, forwardIdentity].some(({ length }) => length !== forwardSock.length)) {
    const counts = [forwardSock, forwardDest, forwardUser, forwardIdentity].map(({ length }) => length);
    throw new SlipwayError(
      'ERR_USAGE',
      `--forward-sock, --forward-dest, --forward-user and --forward-identity belong together, found ${counts.join(', ')} of them`,
      'Give each of the four once for every socket.',
    );
  }
  return forwardSock.map((text, index) => ({
    ...FORWARD_DEFAULTS,
    protocol: 'unix',
    host: { kind: 'unix', path: upFlag('--forward-sock', absolute(text.replace(/^unix:\/\//, '')), socketPath) },
    guest: {
      kind: 'ssh',
      address: undefined,
      port: SSH_PORT,
      user: upFlag('--forward-user', forwardUser[index]!, sshUser),
      path: upFlag('--forward-dest', forwardDest[index]!, socketPath),
      keyFile: upFlag('--forward-identity', absolute(forwardIdentity[index]!), keyFile),
    },
    count: 1,
    owner: 'cli',
  }));
}

function upFlag<T>(name: string, text: string, parse: ValueParser<T>): T {
  return parsedFlag(name, text, parse, { command: 'slipway up' });
}
