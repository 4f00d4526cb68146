import { z } from 'zod';
import { GUEST_APIS } from './api-config.ts';
import { type ConfigInput, ENGINES, LOG_LEVELS } from './config.ts';
import { controlSchema } from './control-schema.ts';
import { dhcpSchema } from './dhcp-schema.ts';
import { dnsSchema } from './dns-schema.ts';
import { forwardsSchema, servicesSchema } from './forward-schema.ts';
import { keysUnder, value } from './schema-value.ts';
import { folder, helperSocket, integer, ipv4Address, listenUrl, mtuBytes, oneOf, subnet, yesOrNo } from './values.ts';

/**
 * The shape of the configuration file. zod walks it and reports every problem with its path; what one value takes is
 * written once in `values.ts` and shared with the flags.
 */
export const configSchema: z.ZodType<ConfigInput> = z
  .strictObject({
    network: z
      .strictObject({
        subnet: value(subnet),
        gateway: value(ipv4Address),
        hostAddress: value(ipv4Address),
        mtu: value(mtuBytes),
      })
      .partial(),
    listen: z.array(value(listenUrl)),
    hostLoopback: value(yesOrNo),
    engine: value(oneOf(...ENGINES)),
    limits: z
      .strictObject({
        flows: value(integer(16, 1_000_000)),
        dialsInFlight: value(integer(1, 65_536)),
        udpMappings: value(integer(16, 65_536)),
        guests: value(integer(1, 4096)),
      })
      .partial(),
    log: z.strictObject({ level: value(oneOf(...LOG_LEVELS)) }).partial(),
    dns: dnsSchema,
    dhcp: dhcpSchema,
    forwards: forwardsSchema,
    services: servicesSchema,
    helper: value(helperSocket),
    state: value(folder),
    control: controlSchema,
    api: z.strictObject({ guest: value(oneOf(...GUEST_APIS)) }).partial(),
  })
  .partial();

/** The keys that stand under `path`; empty where there are none. For "did you mean". */
export function knownKeys(path: readonly PropertyKey[]): readonly string[] {
  return keysUnder(configSchema, path);
}
