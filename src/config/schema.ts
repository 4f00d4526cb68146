import { z } from 'zod';
import { type ConfigInput, ENGINES, LOG_LEVELS } from './config.ts';
import {
  hostName,
  integer,
  ipv4Address,
  listenUrl,
  Mismatch,
  mtuBytes,
  oneOf,
  subnet,
  type ValueParser,
  yesOrNo,
} from './values.ts';

/**
 * The shape of the configuration file. zod walks it and reports every problem with its path; what one value takes is
 * written once in `values.ts` and shared with the flags.
 */
function value<T>(parse: ValueParser<T>): z.ZodType<T> {
  return z.unknown().transform((raw, context) => {
    const parsed = parse(raw);
    if (!(parsed instanceof Mismatch)) return parsed;
    context.issues.push({ code: 'custom', message: parsed.expected, input: raw });
    return z.NEVER;
  });
}

const SECTIONS = {
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
  dns: z
    .strictObject({
      ttlSeconds: value(integer(0, 86_400)),
      lookups: value(integer(1, 4096)),
      hostNames: z.array(value(hostName)),
      gatewayNames: z.array(value(hostName)),
    })
    .partial(),
};

export const configSchema: z.ZodType<ConfigInput> = z.strictObject(SECTIONS).partial();

/** The keys that stand under `path`; empty where there are none. For "did you mean". */
export function knownKeys(path: readonly PropertyKey[]): readonly string[] {
  if (path.length === 0) return Object.keys(SECTIONS);
  const section = Object.entries(SECTIONS).find(([name]) => path.length === 1 && name === path[0])?.[1];
  return section instanceof z.ZodObject ? Object.keys(section.shape) : [];
}
