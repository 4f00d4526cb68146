import { constants } from 'node:os';
import type { Config } from '../config/config.ts';
import type { RunningNetwork } from '../control/start-network.ts';
import { type NamespaceGuest, startNamespaceGuest } from '../host/namespace/namespace-guest.ts';
import { cidrContains } from '../wire/cidr.ts';

/** The guest that `run` and `demo` make: one namespace with one tap, at the first address that guests get. */
export interface EmbeddedGuest {
  readonly address: number;
  readonly mac: number;
  /** Kinds of namespaces that this kernel lacks: of those it has this computer's own. */
  readonly shared: readonly string[];
  /** Ends when the command has: its exit status, 128 + n for a signal. */
  readonly status: Promise<number>;
  kill(signal: NodeJS.Signals): void;
}

/** Locally administered, and ours to give: 02:51:57, then the lower 24 bits of the address. */
const MAC_PREFIX = 0x0251_5700_0000;

export function guestMac(address: number): number {
  return MAC_PREFIX + (address & 0xff_ffff);
}

/** The first address for guests: .3, as Docker Desktop has it; another where that one is taken. */
export function firstGuestAddress({ network }: Config): number {
  const taken = new Set([network.gateway, network.hostAddress]);
  for (let address = network.subnet.network + 3; cidrContains(network.subnet, address); address++) {
    if (!taken.has(address)) return address;
  }
  return network.subnet.network + 2;
}

/** Starts COMMAND in a namespace of its own, on `network`. Rejects with SlipwayError (ERR_TUN_…, ERR_NAMESPACE_…, ERR_COMMAND_…). */
export async function startEmbeddedGuest(
  network: RunningNetwork,
  command: readonly string[],
  options: { readonly forwardSignals: boolean; readonly env?: Readonly<Record<string, string | undefined>> },
): Promise<EmbeddedGuest> {
  const { config, control } = network;
  const address = firstGuestAddress(config);
  const mac = guestMac(address);
  const guest = await startNamespaceGuest({
    command,
    mac,
    address,
    prefix: config.network.subnet.prefix,
    gateway: config.network.gateway,
    dns: config.network.gateway,
    mtu: config.network.mtu,
    ...options,
  });
  const tap = { fd: guest.tapFd, name: 'tap0', offloads: guest.offloads, sockets: guest.sockets };
  try {
    await control.requests.ask('reserveLeases', [{ mac, address }]);
    await control.attachments.attachTap(tap);
  } catch (error) {
    guest.abort();
    throw error;
  }
  guest.proceed();
  return { address, mac, shared: guest.shared, status: statusOf(guest), kill: (signal) => guest.kill(signal) };
}

async function statusOf(guest: NamespaceGuest): Promise<number> {
  const end = await guest.exited;
  if ('code' in end) return end.code;
  const number = constants.signals[end.signal as NodeJS.Signals] as number | undefined;
  return 128 + (number ?? Number(/^SIG(\d+)$/.exec(end.signal)?.[1] ?? 0));
}
