import type { ForwardJson, GuestJson, LeaseJson, StatusJson } from '../api/v1/contract.ts';
import { type ControlFlags, controlClient } from './control-client.ts';
import { forwardTable } from './forwards-shown.ts';
import { STANDARD_OUTPUT, say } from './say.ts';
import { table } from './table.ts';

export interface StatusFlags extends ControlFlags {
  readonly json?: boolean;
}

interface Picture {
  /** The socket that was asked: what recipes hand to curl. */
  readonly control: string;
  readonly status: StatusJson;
  readonly guests: readonly GuestJson[];
  readonly leases: readonly LeaseJson[];
  readonly forwards: readonly ForwardJson[];
}

/** `slipway status`: the daemon, guests, published ports and counters. */
export async function status(flags: StatusFlags): Promise<void> {
  const client = controlClient(flags);
  const picture: Picture = {
    control: client.socketPath,
    status: await client.ask('GET', '/v1/status'),
    guests: await client.ask('GET', '/v1/guests'),
    leases: await client.ask('GET', '/v1/leases'),
    forwards: await client.ask('GET', '/v1/forwards'),
  };
  say(STANDARD_OUTPUT, flags.json === true ? asJson(picture) : asText(picture));
}

function asJson({ status: { counters, ...facts }, ...lists }: Picture): string {
  return `${JSON.stringify({ ...facts, counters: counted(counters), ...lists })}\n`;
}

function asText({ control, status: now, guests, leases, forwards }: Picture): string {
  const { network, gauges, limits } = now;
  const host = network.hostLoopback
    ? `${network.hostAddress} reaches this computer's 127.0.0.1`
    : `${network.hostAddress} is closed`;
  const head = [
    `slipway ${now.version}, process ${now.pid}, engine ${now.engine}`,
    `network ${network.subnet}, gateway ${network.gateway}, ${host}, MTU ${network.mtu}`,
    `${gauges.flows ?? 0} of ${limits.flows ?? 0} flows, ${gauges.forwardedConnections ?? 0} forwarded connections`,
    `control at ${control}`,
  ];
  const parts = [
    `${head.join('\n')}\n`,
    guests.length === 0 ? 'no guest is attached\n' : table(['GUEST', 'ADDRESS', 'MAC'], guests.map(guestRow)),
    table(['LEASE', 'MAC', 'NAME', 'ENDS IN'], leases.map(leaseRow)),
    forwardTable(forwards),
    table(
      ['COUNTED', ''],
      Object.entries(counted(now.counters)).map(([name, count]) => [name, `${count}`]),
    ),
  ];
  return parts.filter((part) => part !== '').join('\n');
}

/** What never happened says nothing. */
function counted(counters: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counters).filter(([, count]) => count !== 0));
}

function guestRow({ name, address = '', mac = '' }: GuestJson): string[] {
  return [name, address, mac];
}

function leaseRow({ address, mac, name, remainingSeconds }: LeaseJson): string[] {
  return [address, mac, name, remainingSeconds === null ? 'never' : `${remainingSeconds} s`];
}
