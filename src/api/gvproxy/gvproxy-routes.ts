import type { Socket } from 'node:net';
import type { ControlExtension } from '../server/control-app.ts';
import type { ControlScope } from '../server/control-server.ts';
import { connect, type GuestAttacher } from './connect.ts';
import type { DnsZones } from './dns-zones.ts';
import { type GoAnswer, goError, goHeaders, goJson, PAGE_NOT_FOUND, POST_ONLY } from './go-answer.ts';
import { camOf, leasesOf, type NetworkFacts } from './network-views.ts';
import type { PortForwarder } from './port-forwarder.ts';
import { statsOf } from './stats.ts';
import { type GuestDialer, tunnel } from './tunnel.ts';

/** What gvproxy's API is made of. */
export interface GvproxyParts {
  readonly forwarder: PortForwarder;
  readonly zones: DnsZones;
  readonly facts: NetworkFacts;
  readonly dialGuest: GuestDialer;
  readonly attachGuest: GuestAttacher;
}

/** A zone may have thousands of records. */
const BODY_BYTES = 4 * 1024 * 1024;

/** How a request looks to a handler. */
interface Asked {
  readonly post: boolean;
  readonly body: Uint8Array;
  readonly remoteAddress: string;
}

type Handler = (asked: Asked) => GoAnswer | Promise<GoAnswer>;

/** Paths and handlers. The method counts only where gvproxy looks at it. */
function handlers({ forwarder, zones, facts }: GvproxyParts): Readonly<Record<string, Handler>> {
  const post =
    (handler: Handler): Handler =>
    (asked) =>
      asked.post ? handler(asked) : POST_ONLY;
  const leases: Handler = async () => goJson(leasesOf(facts, await facts.status()));
  return {
    '/services/forwarder/all': () => forwarder.all({ guest: undefined }),
    '/services/forwarder/expose': post(({ body, remoteAddress }) =>
      forwarder.expose(body, { remoteAddress, guest: undefined }),
    ),
    '/services/forwarder/unexpose': post(({ body, remoteAddress }) =>
      forwarder.unexpose(body, { remoteAddress, guest: undefined }),
    ),
    '/services/dns/all': () => zones.all(),
    '/services/dns/add': post(({ body }) => zones.add(body)),
    '/services/dhcp/leases': leases,
    '/leases': leases,
    '/cam': async () => goJson(camOf(await facts.status())),
    '/stats': async () => goJson(statsOf((await facts.status()).counters)),
    '/services/*': () => PAGE_NOT_FOUND,
    '/debug/*': () => PAGE_NOT_FOUND,
    // On a connection of its own it is taken over before it comes here.
    '/tunnel': () => goError(500, 'a tunnel needs a connection of its own'),
    '/connect': () => goError(500, 'frames need a connection of their own'),
  };
}

/** gvproxy's API on the control sockets: the same paths, statuses, texts and headers. */
export function gvproxyExtension(parts: GvproxyParts): ControlExtension {
  return {
    routes: (scope) => addRoutes(scope, handlers(parts)),
    takeOvers: [tunnel(parts.dialGuest), connect(parts.attachGuest)],
  };
}

function addRoutes(scope: ControlScope, known: Readonly<Record<string, Handler>>): void {
  // Whatever the body calls itself, it is read as JSON.
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  for (const [path, handler] of Object.entries(known)) {
    scope.all(path, { bodyLimit: BODY_BYTES }, async ({ body, method, raw }, reply) => {
      const answer = await handler({
        post: method === 'POST',
        body: body instanceof Uint8Array ? body : new Uint8Array(),
        remoteAddress: remoteAddressOf(raw.socket),
      });
      const { status, body: text } = answer;
      return reply
        .code(status)
        .headers(goHeaders(answer))
        .send(text === '' ? undefined : text);
    });
  }
}

/** Go's RemoteAddr; "@" for a client of a unix socket. */
function remoteAddressOf({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  if (remoteAddress === undefined || remotePort === undefined) return '@';
  return remoteAddress.includes(':') ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}
