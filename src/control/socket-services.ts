import { realpathSync } from 'node:fs';
import path from 'node:path';
import type { ServiceForward } from '../config/forward.ts';
import type { ServiceRoute } from '../flow/route.ts';

/** No service of the gateway is called so. */
const PREFIX = 'socket ';

/**
 * What a unix socket of the host is called in the engine's table of services: the same by whichever links it is
 * reached.
 */
export function socketService(file: string): string {
  return PREFIX + realPath(file);
}

/** Makes `services` the user's unix sockets in the engine's table, in place of those before. */
export function replaceSocketServices(table: Map<string, string>, services: readonly ServiceForward[]): void {
  for (const name of [...table.keys()]) if (name.startsWith(PREFIX)) table.delete(name);
  for (const { target } of services) if (target.kind === 'unix') table.set(socketService(target.path), target.path);
}

/** A service as the core knows it. */
export function serviceRoute({ protocol, address, port, target }: ServiceForward): ServiceRoute {
  return {
    protocol,
    address,
    port,
    target:
      target.kind === 'unix'
        ? { kind: 'socket', service: socketService(target.path) }
        : { kind: 'host', address: target.address, port: target.port },
  };
}

/** The file itself may be missing yet, and may be a link. */
function realPath(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    try {
      return path.join(realpathSync(path.dirname(file)), path.basename(file));
    } catch {
      return file;
    }
  }
}
