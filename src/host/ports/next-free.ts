/** The advice that goes with a conflict: the next place where the ports are free. */
import { bindPorts, closePorts, type PortRequest } from './bind.ts';
import { placesOf } from './places.ts';
import { portsInTheWay } from './socket-table.ts';

/** How many ports are tried: the error must not take long. */
const TRIES = 64;
/** No place is searched for larger ranges, since each try binds the whole range. */
const RANGE_MAX = 1024;

/**
 * The first port above `taken` where the whole request can be bound, found by binding it; undefined when there is none
 * near.
 */
export function nextFreePort(request: PortRequest, taken: number): number | undefined {
  if (request.count > RANGE_MAX) return undefined;
  let port = taken + 1;
  let held: ReadonlySet<number> | undefined;
  for (let tries = 0; tries < TRIES && port + request.count <= 65_536; tries++) {
    const bound = bindPorts({ ...request, port });
    if (!('failure' in bound)) {
      closePorts(bound);
      return port;
    }
    if (bound.failure !== 'refused') return undefined;
    if (bound.errno === 'EACCES') {
      // Ports that only the helper may bind are looked up instead.
      held ??= portsInTheWay(request.protocol, placesOf(request.address, request.ipv4Only) ?? []);
      const obstacle = lastHeld(held, port, request.count);
      if (obstacle === undefined) return port;
      port = obstacle + 1;
    } else if (bound.errno === 'EADDRINUSE') port = bound.port + 1;
    else return undefined;
  }
  return undefined;
}

/** The last occupied port of the `count` ports from `first` on; the next place to try begins after it. */
function lastHeld(held: ReadonlySet<number>, first: number, count: number): number | undefined {
  for (let port = first + count - 1; port >= first; port--) if (held.has(port)) return port;
  return undefined;
}
