import type { AccessRules } from '../server/control-access.ts';
import type { ControlParts } from './control-parts.ts';
import { type ControlExtension, type ControlScope, ControlServer } from '../server/control-server.ts';
import { serveOpenApi } from '../server/openapi.ts';
import { eventRoutes } from './routes/events.ts';
import { flowRoutes } from './routes/flows.ts';
import { forwardRoutes } from './routes/forwards.ts';
import { guestRoutes } from './routes/guests.ts';
import { lookupRoutes } from './routes/lookups.ts';
import { serviceRoutes } from './routes/services.ts';
import { statusRoutes } from './routes/status.ts';
import { zoneRoutes } from './routes/zones.ts';
import { refuseOtherMethods, refuseUnknownPaths } from '../server/unknown-path.ts';

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
  const methods = refuseUnknownPaths(scope);
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
  // After all others.
  void scope.register(async (own) => refuseOtherMethods(own as ControlScope, methods));
  await server.ready();
  return server;
}
