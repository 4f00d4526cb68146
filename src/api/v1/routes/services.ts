import { z } from 'zod';
import { schemaParts } from '../../../config/schema-parts.ts';
import { resolveServices, serviceSchema as newService } from '../../../config/services.ts';
import { parseIpv4Address } from '../../../wire/ipv4-address.ts';
import type { ServiceJson } from '../contract.ts';
import type { ControlParts } from '../control-parts.ts';
import type { ControlScope } from '../../server/control-server.ts';
import { serviceJson } from '../forward-json.ts';
import { invalidRequest, notFound } from '../../server/problem.ts';
import { askedService } from '../read-only.ts';

const serviceSchema: z.ZodType<ServiceJson> = z
  .object({
    id: z.string().meta({ description: 'What DELETE takes' }),
    protocol: z.enum(['tcp', 'udp']),
    address: z.ipv4(),
    port: z.int().meta({ description: '0: every port, which keeps its number' }),
    target: z.string().meta({ description: '"127.0.0.1:5432", "127.0.0.1", "unix:/run/db.sock"' }),
    name: z.string(),
  })
  .meta({ id: 'Service' });

/** What guests reach of this computer at the gateway, or at an address of its own. */
export function serviceRoutes(
  scope: ControlScope,
  { forwards, facts }: Pick<ControlParts, 'forwards' | 'facts'>,
): void {
  scope.get(
    '/v1/services',
    {
      schema: {
        summary: 'Gateway ports and virtual addresses',
        tags: ['services'],
        response: { 200: z.array(serviceSchema) },
      },
    },
    (): ServiceJson[] => forwards.services().map(serviceJson),
  );
  scope.post(
    '/v1/services',
    {
      schema: {
        summary: 'Makes a service of this computer reachable for guests',
        tags: ['services'],
        body: newService(schemaParts),
        response: { 201: serviceSchema },
      },
      preValidation: async (request) => {
        request.body = askedService(request.body) as never;
      },
    },
    async ({ body }, reply) => {
      const { network, dns, api } = facts.config;
      const [service] = resolveServices([body], network, dns, api, () => 'body');
      await forwards.addService(service!);
      return reply.code(201).send(serviceJson(service!));
    },
  );
  scope.delete(
    '/v1/services/:id',
    {
      schema: {
        summary: 'Closes it',
        tags: ['services'],
        params: z.strictObject({ id: z.string() }),
        response: { 204: z.undefined() },
      },
    },
    async ({ params: { id } }, reply) => {
      const match = /^(tcp|udp)-([\d.]+):(\d{1,5})$/.exec(id);
      const address = parseIpv4Address(match?.[2] ?? '');
      const port = Number(match?.[3]);
      if (match === null || address === undefined || port > 65_535) {
        throw invalidRequest('path.id: expected a service such as tcp-192.168.65.10:5432');
      }
      const removed = await forwards.removeService({ protocol: match[1] as 'tcp' | 'udp', address, port });
      if (!removed) throw notFound(`there is no service ${id}`, 'GET /v1/services lists those there are.');
      return reply.code(204).send();
    },
  );
}
