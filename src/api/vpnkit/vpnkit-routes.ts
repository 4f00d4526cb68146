import type { FastifyReply } from 'fastify';
import type { Forwards } from '../../services/forward/forwards.ts';
import type { ControlExtension, ControlScope } from '../server/control-server.ts';
import { PortExposer, type VpnkitAnswer } from './port-exposer.ts';

const JSON_TYPE = 'application/json; charset=UTF-8';
/** Echo's own. */
const NOT_FOUND: VpnkitAnswer = { status: 404, json: { message: 'Not Found' } };
const METHOD_NOT_ALLOWED: VpnkitAnswer = { status: 405, json: { message: 'Method Not Allowed' } };

type Handler = (body: Uint8Array) => VpnkitAnswer | string | Promise<VpnkitAnswer>;

interface Path {
  readonly methods: readonly string[];
  readonly handler: Handler;
}

function paths(exposer: PortExposer): Readonly<Record<string, Path>> {
  const expose = ['PUT', 'POST'];
  const unexpose = ['DELETE', 'POST'];
  return {
    '/forwards/expose/port': { methods: expose, handler: (body) => exposer.expose('port', body) },
    '/forwards/expose/pipe': { methods: expose, handler: (body) => exposer.expose('pipe', body) },
    '/forwards/unexpose/port': { methods: unexpose, handler: (body) => exposer.unexpose('port', body) },
    '/forwards/unexpose/pipe': { methods: unexpose, handler: (body) => exposer.unexpose('pipe', body) },
    '/forwards/list': { methods: ['GET'], handler: () => exposer.list() },
    '/forwards/dump': { methods: ['GET'], handler: () => exposer.dump() },
  };
}

/** vpnkit's control API on the control sockets: the same paths, statuses and texts. */
export function vpnkitExtension(forwards: Forwards): ControlExtension {
  return { routes: (scope) => addRoutes(scope, paths(new PortExposer(forwards))) };
}

function addRoutes(scope: ControlScope, known: Readonly<Record<string, Path>>): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  for (const [path, { methods, handler }] of Object.entries(known)) {
    scope.all(path, async ({ method, body }, reply) => {
      if (!methods.includes(method)) return send(reply, METHOD_NOT_ALLOWED);
      return send(reply, await handler(body instanceof Uint8Array ? body : new Uint8Array()));
    });
  }
  scope.all('/forwards/*', async (_request, reply) => send(reply, NOT_FOUND));
}

function send(reply: FastifyReply, answer: VpnkitAnswer | string): FastifyReply {
  if (typeof answer === 'string') return reply.code(200).type('text/plain; charset=UTF-8').send(answer);
  const { status, json } = answer;
  if (json === undefined) return reply.code(status).send();
  return reply
    .code(status)
    .type(JSON_TYPE)
    .send(`${JSON.stringify(json)}\n`);
}
