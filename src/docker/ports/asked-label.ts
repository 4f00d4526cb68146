import { z } from 'zod';
import { type Binding, parsePortKey } from './binding.ts';

/**
 * The label in which Slipway keeps what a client asked for where the engine was asked for something else: an address
 * that only the host has, or a port that was chosen at the host. It lives as long as the container, and whoever
 * inspects the container can read it. The value is JSON: the port's key, then a list of bindings.
 */
export const ASKED_LABEL = 'internal.docker.slipway.port-bindings';

const Asked: z.ZodType<AskedBindings> = z.record(
  z.string(),
  z.array(z.object({ HostIp: z.string(), HostPort: z.string(), EnginePort: z.string() })),
);
export type AskedBindings = Record<
  string,
  { readonly HostIp: string; readonly HostPort: string; readonly EnginePort: string }[]
>;

/** The bindings of a label; undefined where there is none, or it is somebody else's. */
export function parseAskedLabel(label: string | undefined): AskedBindings | undefined {
  if (label === undefined) return undefined;
  try {
    return Asked.parse(JSON.parse(label));
  } catch {
    return undefined;
  }
}

/** The same, flat. */
export function askedBindings(asked: AskedBindings): Binding[] {
  return Object.entries(asked).flatMap(([key, list]) => {
    const port = parsePortKey(key);
    return list.flatMap(({ HostIp: hostIp, HostPort, EnginePort }) =>
      port === undefined ? [] : [{ ...port, hostIp, hostPort: Number(HostPort), enginePort: Number(EnginePort) }],
    );
  });
}
