import type { ZodType } from 'zod';
import type { SchemaParts } from './schema-parts.ts';
import { integer, type ValueParser } from './values.ts';

/** The key `limits`: how many of each there may be at once. */
export interface Limits {
  readonly flows: number;
  readonly dialsInFlight: number;
  readonly udpMappings: number;
  readonly guests: number;
}

/** The same as a person said it. */
export type LimitsInput = { readonly [Key in keyof Limits]?: Limits[Key] | undefined };

export const DEFAULT_LIMITS: Limits = {
  /** One per port of one guest address towards one service, far above what a machine of containers keeps open. */
  flows: 65_536,
  /**
   * A monitor with thousands of dead targets, each of which the host asks for two minutes, still finds those that live;
   * less than a scan needs to hurt the host.
   */
  dialsInFlight: 8192,
  /** Each holds a socket; the oldest goes first. */
  udpMappings: 4096,
  /** Each takes 4 MiB of address space for frames that wait. */
  guests: 64,
};

/** What each key takes. */
export const limitValues: { readonly [Key in keyof Limits]: ValueParser<number> } = {
  flows: integer(16, 1_000_000),
  dialsInFlight: integer(1, 65_536),
  udpMappings: integer(16, 65_536),
  guests: integer(1, 4096),
};

export function limitsSchema({ z, value }: SchemaParts): ZodType<LimitsInput> {
  return z
    .strictObject({
      flows: value(limitValues.flows),
      dialsInFlight: value(limitValues.dialsInFlight),
      udpMappings: value(limitValues.udpMappings),
      guests: value(limitValues.guests),
    })
    .partial();
}

export function resolveLimits(input: LimitsInput): Limits {
  return {
    flows: input.flows ?? DEFAULT_LIMITS.flows,
    dialsInFlight: input.dialsInFlight ?? DEFAULT_LIMITS.dialsInFlight,
    udpMappings: input.udpMappings ?? DEFAULT_LIMITS.udpMappings,
    guests: input.guests ?? DEFAULT_LIMITS.guests,
  };
}

/**
 * Descriptors for Slipway itself: Node, epoll, DNS lookups, the forwarder's sockets, and closed connections with bytes
 * on their way.
 */
const OWN_DESCRIPTORS = 768;

/**
 * The limits that `descriptors` (RLIMIT_NOFILE) leave room for: a flow and a UDP mapping each hold one. UDP gets at
 * most a quarter; dials never exceed flows. What was asked for is never exceeded.
 */
export function fittingLimits(wanted: Limits, descriptors: number): Limits {
  const free = Math.max(64, descriptors - OWN_DESCRIPTORS - wanted.guests);
  const udpMappings = Math.min(wanted.udpMappings, Math.max(16, Math.floor(free / 4)));
  const flows = Math.min(wanted.flows, Math.max(48, free - udpMappings));
  return { flows, udpMappings, dialsInFlight: Math.min(wanted.dialsInFlight, flows), guests: wanted.guests };
}
