import type { AccessRules } from './control-access.ts';
import type { ControlParts } from '../v1/control-parts.ts';
import { type ControlScope, ControlServer, type TakeOver } from './control-server.ts';
import { serveOpenApi } from './openapi.ts';
import { eventRoutes } from '../v1/routes/events.ts';
import { flowRoutes } from '../v1/routes/flows.ts';
import { forwardRoutes } from '../v1/routes/forwards.ts';
import { guestRoutes } from '../v1/routes/guests.ts';
import { lookupRoutes } from '../v1/routes/lookups.ts';
import { serviceRoutes } from '../v1/routes/services.ts';
import { statusRoutes } from '../v1/routes/status.ts';
import { zoneRoutes } from '../v1/routes/zones.ts';
import { refuseUnknownPaths } from './unknown-path.ts';

/** Paths of the same server that follow other conventions than ours. */
export interface ControlExtension {
  /** Adds paths. `scope` is separate: body parsers, error handlers and hooks that are set there apply only there. */
  routes?(scope: ControlScope): void;
  readonly takeOvers?: readonly TakeOver[];
}

/** Everything that the daemon serves on its control sockets. Loaded by the first client. */
export async function controlApp(
  parts: ControlParts,
  rules: () => AccessRules,
  extensions: readonly ControlExtension[] = [],
): Promise<ControlServer> {
  const server = new ControlServer({
    rules,
    takeOvers: extensions.flatMap(({ takeOvers = [] }) => takeOvers),
    onGreed: () => parts.counters.add('control-pipeline-limit'),
    onDefect: (error) => {
      parts.counters.add('control-defect');
      parts.log.error('a request to the control API failed', {
        stack: error instanceof Error ? (error.stack ?? '') : String(error),
      });
    },
  });
  const { scope } = server;
  refuseUnknownPaths(scope);
  await serveOpenApi(scope, parts.facts.version);
  statusRoutes(scope, parts);
  guestRoutes(scope, parts);
  flowRoutes(scope, parts);
  forwardRoutes(scope, parts);
  serviceRoutes(scope, parts);
  zoneRoutes(scope, parts);
  lookupRoutes(scope, parts);
  eventRoutes(scope, parts);
  for (const { routes } of extensions) {
    if (routes !== undefined) void scope.register(async (own) => routes(own as ControlScope));
  }
  await server.ready();
  return server;
}
