import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { SlipwayError } from '../facts/errors.ts';
import { OLD_DOCKER_BEGINNINGS, OWN_DOMAINS } from '../facts/own-names.ts';
import { stopOnSignals } from '../control/signals.ts';
import type { DnsPlace } from '../guest/dns-places.ts';
import { DEFAULT_PLACES, type GuestDnsEvent, type GuestDnsOptions, GuestDnsServer } from '../guest/dns-server.ts';
import type { Nameserver } from '../facts/nameserver.ts';
import { dnsLabels } from '../wire/dns-name.ts';
import { STANDARD_OUTPUT, say } from './say.ts';
import { DNS_PORT } from '../wire/dns-message.ts';
import { INTERNAL_DNS_PORT } from '../facts/gateway-ports.ts';

const HELP = `Usage: slipway guest dns [options]

The DNS server inside the virtual machine, instead of CoreDNS: names of Docker and Slipway go to the gateway's
internal server, all others to its system server. Answers pass unchanged.

Options:
  --listen <place>    address:port, or interface:port, which follows the address of the interface; may be
                      repeated (default: 127.0.0.1:53 and docker0:53)
  --internal <server> address:port of the internal server (default: the default route's gateway, port ${INTERNAL_DNS_PORT})
  --system <server>   address:port of the system server (default: the default route's gateway, port ${DNS_PORT})
  --domain <name>     one more internal domain, besides ${OWN_DOMAINS.join(', ')},
                      ${OLD_DOCKER_BEGINNINGS.map((name) => `${name}.*`).join(' and ')}; may be repeated
  --json              print JSON lines
  -h, --help          this text

SIGUSR2 prints what was counted; SIGTERM and SIGINT end it.

Examples:
  slipway guest dns
  slipway guest dns --listen 127.0.0.1:53 --listen br-lan:53 --domain dev.example
`;
const SEE_HELP = 'See slipway guest dns --help.';

/**
 * `slipway guest …`, and all of the bundle that a virtual machine gets. Settles when the command runs or has printed
 * its result.
 */
export async function guest(args: readonly string[]): Promise<void> {
  const [command, ...rest] = args;
  if (command === undefined || command === '--help' || command === '-h') return say(STANDARD_OUTPUT, HELP);
  if (command !== 'dns') {
    throw new SlipwayError(
      'ERR_USAGE',
      `slipway guest has no command "${command}"`,
      'The only command is: slipway guest dns',
    );
  }
  const flags = dnsFlags(rest);
  if (flags.help === true) return say(STANDARD_OUTPUT, HELP);
  await serveDns(dnsOptions(flags), flags.json === true);
}

interface DnsFlags {
  readonly listen?: readonly string[];
  readonly internal?: string;
  readonly system?: string;
  readonly domain?: readonly string[];
  readonly json?: boolean;
  readonly help?: boolean;
}

function dnsFlags(args: readonly string[]): DnsFlags {
  try {
    return parseArgs({
      args: [...args],
      options: {
        listen: { type: 'string', multiple: true },
        internal: { type: 'string' },
        system: { type: 'string' },
        domain: { type: 'string', multiple: true },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new SlipwayError('ERR_USAGE', `guest dns: ${(error as Error).message}`, SEE_HELP);
  }
}

function dnsOptions(flags: DnsFlags): GuestDnsOptions {
  const places = flags.listen?.map(place) ?? DEFAULT_PLACES;
  const internal = flags.internal === undefined ? undefined : server('--internal', flags.internal, INTERNAL_DNS_PORT);
  const system = flags.system === undefined ? undefined : server('--system', flags.system, DNS_PORT);
  for (const asked of [internal, system]) {
    if (asked === undefined) continue;
    if (places.some((own) => 'address' in own && own.address === asked.address && own.port === asked.port)) {
      throw new SlipwayError(
        'ERR_USAGE',
        `${endpoint(asked)} would ask itself: it is a --listen address too`,
        SEE_HELP,
      );
    }
  }
  for (const name of flags.domain ?? []) {
    if ((dnsLabels(name) ?? []).length === 0) throw expected('--domain', 'a domain name', name);
  }
  return { places, internal, system, domains: flags.domain ?? [] };
}

function place(text: string): DnsPlace {
  const { host, port } = hostAndPort('--listen', text, DNS_PORT);
  return isIP(host) === 0 ? { interface: host, port } : { address: host, port };
}

function server(flag: string, text: string, defaultPort: number): Nameserver {
  const { host, port } = hostAndPort(flag, text, defaultPort);
  if (isIP(host) === 0 || port === 0) throw expected(flag, 'address:port', text);
  return { address: host, port };
}

/** 'a.b.c.d:port', '[v6]:port', 'v6' or 'name:port'. */
function hostAndPort(flag: string, text: string, defaultPort: number): { host: string; port: number } {
  if (isIP(text) !== 0) return { host: text, port: defaultPort };
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s/]+))(?::(\d{1,5}))?$/.exec(text);
  const port = match?.[3] === undefined ? defaultPort : Number(match[3]);
  if (match === null || port > 65535 || (match[1] !== undefined && isIP(match[1]) !== 6)) {
    throw expected(flag, 'address:port', text);
  }
  return { host: match[1] ?? match[2] ?? '', port };
}

function expected(flag: string, what: string, found: string): SlipwayError {
  return new SlipwayError('ERR_USAGE', `${flag}: expected ${what}, found ${JSON.stringify(found)}`, SEE_HELP);
}

async function serveDns(options: GuestDnsOptions, json: boolean): Promise<void> {
  const print = (event: object, text: string): void => say(STANDARD_OUTPUT, `${json ? JSON.stringify(event) : text}\n`);
  const dns = new GuestDnsServer(options, (event) => print(event, describe(event)));
  const tellCounters = (event: 'counters' | 'end'): void => {
    const counters = dns.counters.snapshot();
    const list = Object.entries(counters).map(([name, count]) => `${name} ${count}`);
    print({ event, counters }, `${event}: ${list.join(', ') || 'no questions'}`);
  };
  await dns.start();
  process.on('SIGUSR2', () => tellCounters('counters'));
  const end = async (): Promise<void> => {
    dns.stop();
    tellCounters('end');
  };
  // Being ended is how a service of the guest ends; its init would take another status for a failure.
  stopOnSignals(end, { status: 0 });
  print({ event: 'up', pid: process.pid }, `process ${process.pid}; Ctrl-C ends it`);
}

function describe(event: GuestDnsEvent): string {
  switch (event.event) {
    case 'routes': {
      if (event.internal === undefined || event.system === undefined) {
        return 'there is no default route yet, so no server is known: waiting for one';
      }
      const names = [...event.domains, ...OLD_DOCKER_BEGINNINGS.map((beginning) => `${beginning}.*`)];
      return `${names.join(' ')} → ${endpoint(event.internal)}, all else → ${endpoint(event.system)}`;
    }
    case 'listening':
      return `listening at ${endpoint(event)}${via(event)}, UDP and TCP`;
    case 'lost':
      return `no longer at ${endpoint(event)}${via(event)}`;
    case 'waiting':
      return `waiting: ${event.why}`;
  }
}

function via({ name, address }: { readonly name: string; readonly address: string }): string {
  return name === address ? '' : ` (${name})`;
}

function endpoint({ address, port }: Nameserver): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
