import type { Cidr } from '../wire/cidr.ts';
import { addressPlan } from './addresses.ts';
import { type ApiConfig, type ApiInput, resolveApi } from './api-config.ts';
import { type ControlConfig, type ControlInput, resolveControl } from './control-config.ts';
import {
  DEFAULT_DIALS_IN_FLIGHT,
  DEFAULT_FLOWS,
  DEFAULT_GUESTS,
  DEFAULT_MTU,
  DEFAULT_UDP_MAPPINGS,
} from './defaults.ts';
import { type DhcpConfig, type DhcpInput, resolveDhcp } from './dhcp-config.ts';
import { type DnsConfig, type DnsInput, resolveDns } from './dns-config.ts';
import { SlipwayError } from '../facts/errors.ts';
import type { ForwardSpec, ServiceForward } from './forward.ts';
import { resolveForwards, resolveServices, type ServiceInput } from './forward-config.ts';
import { type AttachmentUrl, repeatedUrl } from './listen-url.ts';
import { HELPER_SOCKET } from '../facts/helper-socket.ts';

export const ENGINES = ['auto', 'epoll', 'node'] as const;
export type EngineChoice = (typeof ENGINES)[number];
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What a person said, each key checked by itself: from the file, from flags, or both merged. */
export interface ConfigInput {
  readonly network?:
    | undefined
    | {
        readonly subnet?: Cidr | undefined;
        readonly gateway?: number | undefined;
        readonly hostAddress?: number | undefined;
        readonly mtu?: number | undefined;
      };
  readonly listen?: readonly AttachmentUrl[] | undefined;
  readonly hostLoopback?: boolean | undefined;
  readonly engine?: EngineChoice | undefined;
  readonly limits?:
    | undefined
    | {
        readonly flows?: number | undefined;
        readonly dialsInFlight?: number | undefined;
        readonly udpMappings?: number | undefined;
        readonly guests?: number | undefined;
      };
  readonly log?: undefined | { readonly level?: LogLevel | undefined };
  readonly dns?: DnsInput | undefined;
  readonly dhcp?: DhcpInput | undefined;
  readonly forwards?: readonly ForwardSpec[] | undefined;
  readonly services?: readonly ServiceInput[] | undefined;
  readonly helper?: string | undefined;
  readonly state?: string | undefined;
  readonly control?: ControlInput | undefined;
  readonly api?: ApiInput | undefined;
}

/** The whole configuration, complete, consistent and frozen. Plain data: it is copied to the network thread as it is. */
export interface Config {
  readonly network: {
    readonly subnet: Cidr;
    readonly gateway: number;
    readonly hostAddress: number;
    /** Bytes. */
    readonly mtu: number;
  };
  readonly listen: readonly AttachmentUrl[];
  /** The host address reaches the host's own 127.0.0.1. */
  readonly hostLoopback: boolean;
  readonly engine: EngineChoice;
  readonly limits: Limits;
  readonly log: { readonly level: LogLevel };
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
}

export interface Limits {
  readonly flows: number;
  readonly dialsInFlight: number;
  readonly udpMappings: number;
  readonly guests: number;
}

/** `upper` wins over `lower`, key by key; a list is replaced, not extended. */
export function mergeConfig(lower: ConfigInput, upper: ConfigInput): ConfigInput {
  return {
    ...lower,
    ...present(upper),
    network: { ...lower.network, ...present(upper.network ?? {}) },
    limits: { ...lower.limits, ...present(upper.limits ?? {}) },
    log: { ...lower.log, ...present(upper.log ?? {}) },
    dns: {
      ...lower.dns,
      ...present(upper.dns ?? {}),
      cache: { ...lower.dns?.cache, ...present(upper.dns?.cache ?? {}) },
    },
    dhcp: { ...lower.dhcp, ...present(upper.dhcp ?? {}) },
    control: { ...lower.control, ...present(upper.control ?? {}) },
    api: { ...lower.api, ...present(upper.api ?? {}) },
  };
}

function present<T extends object>(record: T): T {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as T;
}

/** Fills in the defaults and checks what concerns several keys. Throws SlipwayError ERR_ADDRESSES or ERR_CONFIG_INVALID. */
export function resolveConfig(input: ConfigInput): Config {
  const plan = addressPlan(input.network ?? {});
  const dns = resolveDns(input.dns ?? {});
  const api = resolveApi(input.api ?? {});
  return deepFrozen({
    network: { ...plan, mtu: input.network?.mtu ?? DEFAULT_MTU },
    listen: checkedListen(input.listen ?? []),
    hostLoopback: input.hostLoopback ?? true,
    engine: input.engine ?? 'auto',
    limits: {
      flows: input.limits?.flows ?? DEFAULT_FLOWS,
      dialsInFlight: input.limits?.dialsInFlight ?? DEFAULT_DIALS_IN_FLIGHT,
      udpMappings: input.limits?.udpMappings ?? DEFAULT_UDP_MAPPINGS,
      guests: input.limits?.guests ?? DEFAULT_GUESTS,
    },
    log: { level: input.log?.level ?? 'info' },
    dns,
    dhcp: resolveDhcp(input.dhcp ?? {}, plan),
    forwards: resolveForwards(input.forwards ?? [], plan),
    services: resolveServices(input.services ?? [], plan, dns, api),
    helper: input.helper ?? HELPER_SOCKET,
    state: input.state ?? '',
    control: resolveControl(input.control ?? {}),
    api,
  });
}

function checkedListen(urls: readonly AttachmentUrl[]): readonly AttachmentUrl[] {
  const repeated = repeatedUrl(urls);
  if (repeated === undefined) return [...urls];
  throw new SlipwayError(
    'ERR_CONFIG_INVALID',
    `listen: ${repeated.text} stands there twice`,
    'Many guests can attach at one address; give it once.',
  );
}

function deepFrozen<T>(value: T): T {
  // Bytes cannot be frozen.
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value) && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFrozen(part);
  }
  return value;
}
