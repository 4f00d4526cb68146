import { type Config, type ConfigInput, resolveConfig } from '../config/config.ts';
import { readBySchema } from '../config/read-by-schema.ts';
import { configSchema } from '../config/schema.ts';
import { SlipwayError } from '../facts/errors.ts';
import type { ZoneInput } from './inputs.ts';

/**
 * How a network is to be: the keys of the configuration file (docs/configuration.md), with the same defaults, checks
 * and words. Addresses are text.
 */
export interface NetworkConfig {
  /** Addresses and packet size; 192.168.65.0/24 and 1500 bytes unless told. */
  readonly network?: {
    /** "192.168.65.0/24" */
    readonly subnet?: string;
    /** The gateway and DNS server; the first address of the subnet unless told. */
    readonly gateway?: string;
    /** The address that reaches this computer; the last address of the subnet unless told. */
    readonly hostAddress?: string;
    /** Bytes of the largest IP packet. */
    readonly mtu?: number;
  };
  /** Whether guests reach this computer's 127.0.0.1 at the host address. True unless told. */
  readonly hostLoopback?: boolean;
  /** How sockets are used: "epoll" by system calls (Linux), "node" by Node alone. "auto" unless told. */
  readonly engine?: 'auto' | 'epoll' | 'node';
  /** How many of each there may be at once. */
  readonly limits?: {
    readonly flows?: number;
    readonly dialsInFlight?: number;
    readonly udpMappings?: number;
    readonly guests?: number;
  };
  /** Zones by text, and every other key of `dns` in docs/configuration.md. */
  readonly dns?: { readonly zones?: readonly ZoneInput[] } & Readonly<Record<string, unknown>>;
  /** Every key of `dhcp` in docs/configuration.md. */
  readonly dhcp?: Readonly<Record<string, unknown>>;
  /** What guests reach at the gateway's port 80: "forwards" lets Podman in a guest publish ports, "none" closes it. */
  readonly api?: { readonly guest?: 'forwards' | 'none' };
  /** The socket of the privileged helper, which binds ports below 1024. */
  readonly helper?: string;
  /** The folder in which leases and persistent forwards outlive the process. None unless told. */
  readonly state?: string;
}

/**
 * Keys of the file that a program has functions for: `VirtualNetwork.listen`, `publish` and `addService`, and the log
 * of the hooks.
 */
const NOT_HERE: readonly string[] = ['listen', 'forwards', 'services', 'control', 'log'];

/** The configuration in full. Throws SlipwayError ERR_CONFIG_INVALID or ERR_ADDRESSES. */
export function configOf(wanted: NetworkConfig): Config {
  const alien = Object.keys(wanted).find((key) => NOT_HERE.includes(key));
  if (alien !== undefined) {
    throw new SlipwayError(
      'ERR_CONFIG_INVALID',
      `${alien}: unknown key`,
      'The library has functions instead of this key.',
    );
  }
  const read = readBySchema<ConfigInput>(configSchema, wanted);
  if ('problems' in read) {
    throw new SlipwayError('ERR_CONFIG_INVALID', read.problems.join('\n'), 'docs/configuration.md lists every key.');
  }
  return resolveConfig(read.value);
}
