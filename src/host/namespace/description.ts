/** What a caller says of a guest, checked and completed to what init needs to know. */
import { hangupIsIgnored } from '../hangup.ts';
import { SlipwayError } from '../../facts/errors.ts';
import { formatIpv4Address, parseIpv4Address } from '../../wire/ipv4-address.ts';
import { parseMac } from '../../wire/mac.ts';
import { findCommand } from './command.ts';
import type { GuestDescription } from './mail.ts';

export interface NamespaceGuestOptions {
  /** The command and its arguments; looked up in the PATH of `env`. */
  readonly command: readonly string[];
  /** Default tap0. */
  readonly tapName?: string;
  /** 48-bit number or text with colons. */
  readonly mac: number | string;
  /** IPv4 addresses as unsigned 32-bit numbers or text. */
  readonly address: number | string;
  readonly prefix: number;
  readonly gateway: number | string;
  readonly dns: number | string;
  /** Bytes, at most 65521. */
  readonly mtu: number;
  readonly searchDomains?: readonly string[];
  /**
   * Packets that the kernel queues towards us while we are busy. Default 10,000: a full queue drops, and 10,000 holds
   * the windows of eight flows at MTU 1500.
   */
  readonly txQueueLength?: number;
  /** Default: this process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Default: this process's. */
  readonly cwd?: string;
  /**
   * Pass this process's SIGTERM, SIGINT, … on to COMMAND from `proceed` to its end, instead of dying by them. Default
   * true.
   */
  readonly forwardSignals?: boolean;
}

/** Errors: ERR_COMMAND_NOT_FOUND, ERR_COMMAND_NOT_EXECUTABLE, ERR_ADDRESSES. */
export function describeGuest(options: NamespaceGuestOptions): GuestDescription {
  const { command, tapName = 'tap0', prefix, mtu, searchDomains = [], txQueueLength = 10_000 } = options;
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.env ?? process.env)) if (value !== undefined) env[name] = value;
  const cwd = options.cwd ?? process.cwd();
  const dns = formatIpv4Address(ipv4Number(options.dns));
  const search = searchDomains.length === 0 ? '' : `search ${searchDomains.join(' ')}\n`;
  return {
    path: findCommand(command[0] ?? '', env.PATH, cwd),
    argv: command,
    env,
    cwd,
    tapName,
    mac: macNumber(options.mac),
    address: ipv4Number(options.address),
    prefix,
    gateway: ipv4Number(options.gateway),
    mtu,
    txQueueLength,
    ignoresHangup: options.forwardSignals !== false && hangupIsIgnored(),
    resolvConf: `# Made by slipway run; only this command sees it.\nnameserver ${dns}\n${search}`,
  };
}

function macNumber(mac: number | string): number {
  return typeof mac === 'number' ? mac : (parseMac(mac) ?? refuse('MAC address', mac));
}

function ipv4Number(address: number | string): number {
  return typeof address === 'number' ? address : (parseIpv4Address(address) ?? refuse('IPv4 address', address));
}

function refuse(what: string, text: string): never {
  throw new SlipwayError('ERR_ADDRESSES', `The guest's ${what} cannot be '${text}'.`);
}
