import type { ZodType } from 'zod';
import { apiSchema } from './api.ts';
import type { ConfigInput } from './config.ts';
import { controlSchema } from './control.ts';
import { dhcpSchema } from './dhcp.ts';
import { dnsSchema } from './dns.ts';
import { dockerSchema } from './docker.ts';
import { engineChoice } from './engine.ts';
import { forwardsSchema } from './forwards.ts';
import { helperSocket } from './helper.ts';
import { limitsSchema } from './limits.ts';
import { listenUrl } from './listen.ts';
import { logSchema } from './log.ts';
import { networkSchema } from './network.ts';
import { keysUnder, schemaParts } from './schema-parts.ts';
import { servicesSchema } from './services.ts';
import { folder } from './state.ts';
import { yesOrNo } from './values.ts';

const { value, z } = schemaParts;

/** The shape of the configuration file. zod walks it and reports every problem with its path. */
export const configSchema: ZodType<ConfigInput> = z
  .strictObject({
    network: networkSchema(schemaParts),
    listen: z.array(value(listenUrl)),
    hostLoopback: value(yesOrNo),
    engine: value(engineChoice),
    limits: limitsSchema(schemaParts),
    log: logSchema(schemaParts),
    dns: dnsSchema(schemaParts),
    dhcp: dhcpSchema(schemaParts),
    forwards: forwardsSchema(schemaParts),
    services: servicesSchema(schemaParts),
    helper: value(helperSocket),
    state: value(folder),
    control: controlSchema(schemaParts),
    api: apiSchema(schemaParts),
    docker: dockerSchema(schemaParts),
  })
  .partial();

/** The keys under `path`; empty if there are none. For "did you mean". */
export function knownKeys(path: readonly PropertyKey[]): readonly string[] {
  return keysUnder(configSchema, path);
}
