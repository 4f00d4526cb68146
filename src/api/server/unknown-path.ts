import { SlipwayError } from '../../facts/errors.ts';
import type { ControlScope } from './control-server.ts';
import { notFound } from './problem.ts';

/** Path → the methods that it takes. */
export type KnownMethods = ReadonlyMap<string, ReadonlySet<string>>;

/** Answers 404 for unknown paths. To be called before the paths are added; what it returns grows with them. */
export function refuseUnknownPaths(scope: ControlScope): KnownMethods {
  const methods = new Map<string, Set<string>>();
  scope.addHook('onRoute', ({ url, method }) => {
    methods.set(url, new Set([...(methods.get(url) ?? []), ...[method].flat()]));
  });
  scope.setNotFoundHandler(({ url }) => {
    throw notFound(`there is no ${shown(url)} here`);
  });
  return methods;
}

/** Answers 405 with Allow for every other method of the paths that are there. To be called when all are. */
export function refuseOtherMethods(scope: ControlScope, methods: KnownMethods): void {
  for (const [url, known] of [...methods]) {
    const allowed = [...known].sort();
    const others = scope.supportedMethods.filter((method) => !known.has(method));
    if (others.length === 0) continue;
    scope.route({
      method: others,
      url,
      // Before the body is read: it is no matter what that would be.
      onRequest: async (request, reply) => {
        void reply.header('allow', allowed.join(', '));
        const what = `${shown(request.url)} does not take ${request.method}`;
        throw new SlipwayError('ERR_CONTROL_METHOD', what, `It takes ${allowed.join(', ')}.`);
      },
      handler: () => undefined,
    });
  }
}

function shown(url: string): string {
  const path = url.split('?', 1)[0] ?? '';
  return path.length > 100 ? `${path.slice(0, 97)}...` : path;
}
