/** The advice in a conflict: where the ports would fit. */
import { bindPorts, closePorts, type PortRequest } from './bind.ts';
import { placesOf } from './places.ts';
import { socketsInTheWay } from './socket-table.ts';

/** Ports that are tried before it gives up, so that a conflict is told at once. */
const TRIES = 64;
/** Larger ranges are not sought: each try binds all of it. */
const RANGE_MAX = 1024;

/** The first port above `taken` where the whole request can be bound, found by binding it; undefined when there is none near. */
export function nextFreePort(request: PortRequest, taken: number): number | undefined {
  if (request.count > RANGE_MAX) return undefined;
  let port = taken + 1;
  for (let tries = 0; tries < TRIES && port + request.count <= 65_536; tries++) {
    const bound = bindPorts({ ...request, port });
    if (!('failure' in bound)) {
      closePorts(bound);
      return port;
    }
    if (bound.failure !== 'refused') return undefined;
    if (bound.errno === 'EACCES' && looksFree(request, port)) return port;
    if (bound.errno !== 'EADDRINUSE' && bound.errno !== 'EACCES') return undefined;
    port = bound.port + 1;
  }
  return undefined;
}

/** Ports that only the helper may bind are looked up instead. */
function looksFree(request: PortRequest, first: number): boolean {
  const places = placesOf(request.address, request.ipv4Only) ?? [];
  for (let port = first; port < first + request.count; port++) {
    if (places.some((place) => socketsInTheWay(request.protocol, place, port).length > 0)) return false;
  }
  return true;
}
