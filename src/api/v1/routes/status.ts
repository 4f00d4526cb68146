import { z } from 'zod';
import { formatCidr } from '../../../wire/cidr.ts';
import { formatIpv4Address } from '../../../wire/ipv4-address.ts';
import type { StatusJson } from '../contract.ts';
import type { ControlParts } from '../control-parts.ts';
import type { ControlScope } from '../../server/control-server.ts';

const count = z.number();

const statusSchema: z.ZodType<StatusJson> = z
  .object({
    version: z.string(),
    pid: z.int(),
    engine: z.enum(['epoll', 'node']),
    network: z.object({
      subnet: z.string(),
      gateway: z.ipv4(),
      hostAddress: z.ipv4(),
      hostLoopback: z.boolean(),
      mtu: z.int(),
    }),
    attachments: z.array(z.string()).meta({ description: 'Where guests attach, as URLs' }),
    descriptors: z.int().meta({ description: 'RLIMIT_NOFILE' }),
    limits: z.record(z.string(), count).meta({ description: 'How many of each there may be at once' }),
    gauges: z.record(z.string(), count).meta({ description: 'How many of each there are now' }),
    counters: z.record(z.string(), count).meta({ description: 'Counts of what happened since the start, by name' }),
  })
  .meta({ id: 'Status' });

/** What the daemon is and how it fares. */
export function statusRoutes(
  scope: ControlScope,
  { facts, status, forwards }: Pick<ControlParts, 'facts' | 'status' | 'forwards'>,
): void {
  const { config } = facts;
  const { subnet, gateway, hostAddress, mtu } = config.network;
  scope.get(
    '/v1/status',
    { schema: { summary: 'The daemon and its network', tags: ['status'], response: { 200: statusSchema } } },
    async (): Promise<StatusJson> => {
      const { guests, leases, flows, counters } = await status();
      await forwards.refresh();
      const table = forwards.list();
      return {
        version: facts.version,
        pid: facts.pid,
        engine: facts.engine,
        network: {
          subnet: formatCidr(subnet),
          gateway: formatIpv4Address(gateway),
          hostAddress: formatIpv4Address(hostAddress),
          hostLoopback: config.hostLoopback,
          mtu,
        },
        attachments: [...facts.attachments()],
        descriptors: facts.descriptors,
        limits: { ...config.limits },
        gauges: {
          guests: guests.length,
          leases: leases.length,
          flows,
          forwards: table.length,
          forwardedConnections: table.reduce((sum, { connections }) => sum + connections, 0),
        },
        counters: { ...counters },
      };
    },
  );
}
