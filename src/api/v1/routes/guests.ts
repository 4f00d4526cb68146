import { z } from 'zod';
import type { GuestJson, LeaseJson } from '../contract.ts';
import type { ControlParts } from '../control-parts.ts';
import { guestJson, leaseJson } from '../guest-json.ts';
import type { ControlScope } from '../../server/control-server.ts';

const leaseSchema: z.ZodType<LeaseJson> = z
  .object({
    address: z.ipv4(),
    mac: z.string(),
    name: z.string().meta({ description: 'The name that the client or its reservation gives' }),
    remainingSeconds: z.int().nullable().meta({ description: 'Null for a lease without end' }),
  })
  .meta({ id: 'Lease' });

const guestSchema: z.ZodType<GuestJson> = z
  .object({
    name: z.string(),
    address: z.ipv4().optional(),
    mac: z.string().optional(),
    leases: z.array(leaseSchema),
  })
  .meta({ id: 'Guest' });

/** Who is attached, and who has which address. */
export function guestRoutes(scope: ControlScope, { status }: Pick<ControlParts, 'status'>): void {
  scope.get(
    '/v1/guests',
    {
      schema: {
        summary: 'Attached guests with their leases',
        tags: ['guests'],
        response: { 200: z.array(guestSchema) },
      },
    },
    async (): Promise<GuestJson[]> => {
      const { guests, leases } = await status();
      return guests.map((guest) => guestJson(guest, leases));
    },
  );
  scope.get(
    '/v1/leases',
    { schema: { summary: 'Leases in force, by address', tags: ['guests'], response: { 200: z.array(leaseSchema) } } },
    async (): Promise<LeaseJson[]> => (await status()).leases.map(leaseJson),
  );
}
