import path from 'node:path';
import type { Command } from 'commander';
import { type Config, type ConfigInput, mergeConfig, resolveConfig } from '../config/config.ts';
import { controlSocket } from '../config/control.ts';
import { ENGINES, engineChoice } from '../config/engine.ts';
import { limitValues } from '../config/limits.ts';
import { type AttachmentUrl, listenUrl, resolveListen } from '../config/listen.ts';
import { LOG_LEVELS, logLevel } from '../config/log.ts';
import { mtuBytes, subnet } from '../config/network.ts';
import { folder } from '../config/state.ts';
import { ipv4Address, Mismatch, shown, type ValueParser } from '../config/values.ts';
import { type ErrorCode, SlipwayError } from '../facts/errors.ts';

/** The flags that every command with a network has, as commander hands them over. */
export interface NetworkFlags {
  readonly subnet?: string;
  readonly gateway?: string;
  readonly hostAddress?: string;
  readonly mtu?: string;
  readonly hostLoopback: boolean;
  readonly hostEngine?: string;
  readonly logLevel?: string;
  readonly maxFlows?: string;
  readonly maxDials?: string;
  readonly config?: string;
  readonly listen?: readonly string[];
  readonly state?: string;
  readonly control?: string;
}

/** Adds those flags; `mtu` is the default that the help shows. */
export function addNetworkFlags(command: Command, mtu: number): Command {
  return command
    .option('--subnet <cidr>', 'addresses of the network (default: 192.168.65.0/24)')
    .option('--gateway <ip>', 'address of gateway and DNS server (default: the first of the subnet)')
    .option('--host-address <ip>', 'address that reaches this computer (default: the last of the subnet)')
    .option('--mtu <bytes>', `largest IP packet of the guests (default: ${mtu})`)
    .option('--no-host-loopback', "close the way from the host address to this computer's 127.0.0.1")
    .option('--host-engine <name>', `${ENGINES.join(', ')} (default: auto)`)
    .option('--max-flows <n>', 'TCP connections at once (default: 65536, or what RLIMIT_NOFILE leaves)')
    .option('--max-dials <n>', 'connections being opened at once (default: 8192)')
    .option('--config <file>', 'YAML file; flags override it')
    .option('--log-level <level>', LOG_LEVELS.join(', '));
}

/** The configuration that file and flags make together. Throws SlipwayError. */
export async function configOf(flags: NetworkFlags, defaults: ConfigInput = {}): Promise<Config> {
  let file: ConfigInput = {};
  if (flags.config !== undefined) {
    // Loaded only when there is a file: zod and yaml are a good part of the memory of a small daemon.
    const { readConfigFile } = await import('../config/parse.ts');
    file = readConfigFile(flags.config);
  }
  return resolveConfig(mergeConfig(mergeConfig(defaults, file), fromFlags(flags)));
}

function fromFlags(flags: NetworkFlags): ConfigInput {
  return {
    network: {
      subnet: flag('--subnet', flags.subnet, subnet),
      gateway: flag('--gateway', flags.gateway, ipv4Address),
      hostAddress: flag('--host-address', flags.hostAddress, ipv4Address),
      mtu: flag('--mtu', flags.mtu, fromText(mtuBytes)),
    },
    listen: listenFlags(flags.listen),
    // commander gives true where the flag is absent, and the file may say false.
    hostLoopback: flags.hostLoopback ? undefined : false,
    engine: flag('--host-engine', flags.hostEngine, engineChoice),
    limits: {
      flows: flag('--max-flows', flags.maxFlows, fromText(limitValues.flows)),
      dialsInFlight: flag('--max-dials', flags.maxDials, fromText(limitValues.dialsInFlight)),
    },
    // A flag is said in some folder, a file is not.
    state: flag('--state', flags.state === undefined ? undefined : absolute(flags.state), folder),
    control: { socket: flag('--control', controlPath(flags.control), controlSocket) },
    log: { level: flag('--log-level', flags.logLevel, logLevel) },
  };
}

function listenFlags(texts: readonly string[] | undefined): readonly AttachmentUrl[] | undefined {
  const urls = texts?.map((text) => flag('--listen', text, listenUrl, 'ERR_LISTEN_URL')!);
  return urls && resolveListen(urls, '--listen', 'ERR_USAGE');
}

/** Absolute: a relative path is meant from the folder in which the command was typed. */
function controlPath(text: string | undefined): string | undefined {
  return text === undefined || text === 'none' ? text : absolute(text);
}

/**
 * A relative path is meant from the folder in which the command was typed. Nothing stays nothing, which is refused: a
 * variable was empty.
 */
export function absolute(text: string): string {
  return text === '' ? text : path.resolve(text);
}

function flag<T>(
  name: string,
  text: string | undefined,
  parse: ValueParser<T>,
  code: ErrorCode = 'ERR_USAGE',
): T | undefined {
  return text === undefined ? undefined : parsedFlag(name, text, parse, { code });
}

/** What a flag says; the error's hint names the help of `command`. Throws SlipwayError. */
export function parsedFlag<T>(
  name: string,
  text: string,
  parse: ValueParser<T>,
  { code = 'ERR_USAGE', command = 'slipway' }: { readonly code?: ErrorCode; readonly command?: string } = {},
): T {
  const value = parse(text);
  if (!(value instanceof Mismatch)) return value;
  throw new SlipwayError(
    code,
    `${name}: expected ${value.expected}, found ${shown(text)}`,
    `${command} --help shows examples.`,
  );
}

/** A number as a flag has it. */
export function fromText(parse: ValueParser<number>): ValueParser<number> {
  return (raw) => parse(typeof raw === 'string' && /^\d+$/.test(raw) ? Number(raw) : raw);
}
