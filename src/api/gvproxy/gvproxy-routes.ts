import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';
import type { Config } from '../../config/config.ts';
import type { GuestLines } from '../../control/guest-lines.ts';
import type { RunningDns, RunningNetwork } from '../../control/start-network.ts';
import type { ControlExtension, ControlScope } from '../server/control-server.ts';
import { connect } from './connect.ts';
import { DnsZones } from './dns-zones.ts';
import { answered, assertPost, headersOf, notFound, Refusal, refused, type TextAnswer } from './answer.ts';
import { joinHostPort } from './host-port.ts';
import { camOf, leasesOf, type NetworkFacts } from './network-views.ts';
import { type PortForwarder, portForwarder } from './port-forwarder.ts';
import { statsOf } from './stats.ts';
import { tunnel } from './tunnel.ts';

/** What gvproxy's API needs of a running network. */
export interface GvproxyNetwork extends Pick<RunningNetwork, 'forwards' | 'status'> {
  readonly config: Pick<Config, 'network' | 'dhcp'>;
  readonly control: { readonly guests: Pick<GuestLines, 'dial' | 'attach'> };
  readonly dns: Pick<RunningDns, 'zones'>;
}

/** What answers. */
interface GvproxyParts {
  readonly forwarder: PortForwarder;
  readonly zones: DnsZones;
  readonly facts: NetworkFacts;
}

/** A zone may have thousands of records. */
const BODY_BYTES = 4 * 1024 * 1024;

/** How a request looks to a handler. */
interface Asked {
  readonly method: string;
  readonly body: Uint8Array;
  readonly remoteAddress: string;
}

/** Returns the JSON to send, or nothing; throws a Refusal. */
type Handler = (asked: Asked) => unknown;

/** Paths and handlers. The method counts only where gvproxy looks at it. */
function handlers({ forwarder, zones, facts }: GvproxyParts): Readonly<Record<string, Handler>> {
  const post =
    (handler: Handler): Handler =>
    (asked) => {
      assertPost(asked.method);
      return handler(asked);
    };
  const leases: Handler = async () => leasesOf(facts, await facts.status());
  const unknown: Handler = () => {
    throw notFound();
  };
  // On a connection of its own it is taken over before it comes here.
  const takenOver =
    (what: string): Handler =>
    () => {
      throw new Refusal(500, what);
    };
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
    '/cam': async () => camOf(await facts.status()),
    '/stats': async () => statsOf((await facts.status()).counters),
    '/services/*': unknown,
    '/debug/*': unknown,
    '/tunnel': takenOver('a tunnel needs a connection of its own'),
    '/connect': takenOver('frames need a connection of their own'),
  };
}

/**
 * gvproxy's API on the control sockets of a network: the same paths, methods, statuses and names of fields.
 * `gatewayMac`: what guests know the gateway by.
 */
export function gvproxyExtension(network: GvproxyNetwork, gatewayMac: number): ControlExtension {
  const { config, dns, forwards } = network;
  const { guests } = network.control;
  const parts = {
    forwarder: portForwarder(forwards),
    zones: new DnsZones(dns.zones),
    facts: {
      gateway: { address: config.network.gateway, mac: gatewayMac },
      reservations: config.dhcp.reservations,
      status: () => network.status(),
    },
  };
  return {
    routes: (scope) => addRoutes(scope, handlers(parts)),
    takeOvers: [tunnel((address, port) => guests.dial(address, port)), connect(() => guests.attach('/connect'))],
  };
}

function addRoutes(scope: ControlScope, known: Readonly<Record<string, Handler>>): void {
  // Whatever the body calls itself, it is read as JSON.
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  const send = (reply: FastifyReply, answer: TextAnswer): FastifyReply =>
    reply
      .code(answer.status)
      .headers(headersOf(answer))
      .send(answer.body === '' ? undefined : answer.body);
  // What is no Refusal goes on to the server's own handler.
  scope.setErrorHandler((error, _request, reply) => send(reply, refused(error)));
  for (const [path, handler] of Object.entries(known)) {
    scope.all(path, { bodyLimit: BODY_BYTES }, async ({ body: raw, method, socket }, reply) => {
      const body = raw instanceof Uint8Array ? raw : new Uint8Array();
      return send(reply, answered(await handler({ method, body, remoteAddress: remoteAddressOf(socket) })));
    });
  }
}

/** '' for a client of a unix socket. */
function remoteAddressOf({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  if (remoteAddress === undefined || remotePort === undefined) return '';
  return joinHostPort(remoteAddress, remotePort);
}
