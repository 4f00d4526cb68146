import { SlipwayError } from '../../facts/errors.ts';
import type { ControlScope } from './control-server.ts';
import { notFound } from './problem.ts';

/** Answers 404 for an unknown path, and 405 with Allow for a method that the path does not have. To be called before the paths are added. */
export function refuseUnknownPaths(scope: ControlScope): void {
  const methods = new Map<string, Set<string>>();
  scope.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set();
    methods.set(url, known);
    for (const one of [method].flat()) known.add(one);
  });
  scope.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const allowed = [...methods].filter(([pattern]) => fits(pattern, path)).flatMap(([, known]) => [...known]);
    if (allowed.length === 0) throw notFound(`there is no ${shortened(path)} here`);
    void reply.header('allow', [...new Set(allowed)].sort().join(', '));
    throw new SlipwayError(
      'ERR_CONTROL_METHOD',
      `${shortened(path)} does not take ${request.method}`,
      `It takes ${allowed.join(', ')}.`,
    );
  });
}

function fits(pattern: string, path: string): boolean {
  const [wanted, found] = [pattern.split('/'), path.split('/')];
  return (
    wanted.length === found.length &&
    wanted.every((part, index) => part === found[index] || (part.startsWith(':') && found[index] !== ''))
  );
}

function shortened(path: string): string {
  return path.length > 100 ? `${path.slice(0, 97)}...` : path;
}
