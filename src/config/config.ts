import { HELPER_SOCKET } from '../facts/helper-socket.ts';
import { type ApiConfig, type ApiInput, resolveApi } from './api.ts';
import { type ControlConfig, type ControlInput, resolveControl } from './control.ts';
import { type DhcpConfig, type DhcpInput, resolveDhcp } from './dhcp.ts';
import { type DnsConfig, type DnsInput, resolveDns } from './dns.ts';
import { type DockerEngine, type DockerInput, resolveDocker } from './docker.ts';
import type { EngineChoice } from './engine.ts';
import type { ForwardSpec, ServiceForward } from './forward.ts';
import { resolveForwards } from './forwards.ts';
import { type Limits, type LimitsInput, resolveLimits } from './limits.ts';
import { type AttachmentUrl, resolveListen } from './listen.ts';
import { type LogConfig, type LogInput, resolveLog } from './log.ts';
import { type NetworkConfig, type NetworkInput, resolveNetwork } from './network.ts';
import { resolveServices, type ServiceInput } from './services.ts';

/** What a person said, each key checked by itself: from the file, from flags, or both merged. */
export interface ConfigInput {
  readonly network?: NetworkInput | undefined;
  readonly listen?: readonly AttachmentUrl[] | undefined;
  readonly hostLoopback?: boolean | undefined;
  readonly engine?: EngineChoice | undefined;
  readonly limits?: LimitsInput | undefined;
  readonly log?: LogInput | undefined;
  readonly dns?: DnsInput | undefined;
  readonly dhcp?: DhcpInput | undefined;
  readonly forwards?: readonly ForwardSpec[] | undefined;
  readonly services?: readonly ServiceInput[] | undefined;
  readonly helper?: string | undefined;
  readonly state?: string | undefined;
  readonly control?: ControlInput | undefined;
  readonly api?: ApiInput | undefined;
  readonly docker?: readonly DockerInput[] | undefined;
}

/**
 * The whole configuration, complete, consistent and frozen. Plain data: it is copied to the network thread as it is.
 */
export interface Config {
  readonly network: NetworkConfig;
  readonly listen: readonly AttachmentUrl[];
  /** The host address reaches the host's own 127.0.0.1. */
  readonly hostLoopback: boolean;
  readonly engine: EngineChoice;
  readonly limits: Limits;
  readonly log: LogConfig;
  readonly dns: DnsConfig;
  readonly dhcp: DhcpConfig;
  /** Published when the network starts. */
  readonly forwards: readonly ForwardSpec[];
  /** What guests reach of this computer beside the host address. */
  readonly services: readonly ServiceForward[];
  /** The socket of the privileged helper, or 'none'. */
  readonly helper: string;
  /** The folder where leases and forwards outlive the process; '' keeps nothing. */
  readonly state: string;
  readonly control: ControlConfig;
  readonly api: ApiConfig;
  /** Engines whose API is served here. */
  readonly docker: readonly DockerEngine[];
}

/**
 * Fills in the defaults and checks what concerns several keys. Throws SlipwayError ERR_ADDRESSES or ERR_CONFIG_INVALID.
 */
export function resolveConfig(input: ConfigInput): Config {
  const network = resolveNetwork(input.network ?? {});
  const dns = resolveDns(input.dns ?? {});
  const api = resolveApi(input.api ?? {});
  return deepFrozen({
    network,
    listen: resolveListen(input.listen ?? []),
    hostLoopback: input.hostLoopback ?? true,
    engine: input.engine ?? 'auto',
    limits: resolveLimits(input.limits ?? {}),
    log: resolveLog(input.log ?? {}),
    dns,
    dhcp: resolveDhcp(input.dhcp ?? {}, network),
    forwards: resolveForwards(input.forwards ?? [], network),
    services: resolveServices(input.services ?? [], network, dns, api),
    helper: input.helper ?? HELPER_SOCKET,
    state: input.state ?? '',
    control: resolveControl(input.control ?? {}),
    api,
    docker: resolveDocker(input.docker ?? [], network),
  });
}

/** `upper` wins over `lower`, key by key; a list is replaced, not extended. */
export function mergeConfig(lower: ConfigInput, upper: ConfigInput): ConfigInput {
  return mergedKeys(lower, upper) as ConfigInput;
}

function mergedKeys(lower: object, upper: object): object {
  const merged: Record<string, unknown> = { ...lower };
  for (const [key, value] of Object.entries(upper)) {
    if (value !== undefined)
      merged[key] = isKeys(value) && isKeys(merged[key]) ? mergedKeys(merged[key], value) : value;
  }
  return merged;
}

/** What keys stand under; and a value of several parts, all of which the upper one has. */
function isKeys(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function deepFrozen<T>(value: T): T {
  // Bytes cannot be frozen.
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value) && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFrozen(part);
  }
  return value;
}
