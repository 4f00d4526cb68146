import { constants } from 'node:os';
import type { RunningNetwork } from '../control/start-network.ts';
import { type NamespaceGuest, startNamespaceGuest } from '../host/namespace/namespace-guest.ts';
import { guestMac } from './guest-addresses.ts';

/** The guest that a command runs in: one namespace with one tap. */
export interface CommandGuest {
  /** Kinds of namespaces that this kernel lacks: of those it has this computer's own. */
  readonly shared: readonly string[];
  /** Ends when the command has: its exit status, 128 + n for a signal. */
  readonly status: Promise<number>;
  /** Sends the command a signal. */
  kill(signal: NodeJS.Signals): void;
}

/**
 * Starts COMMAND in a namespace of its own, on `network`, at `address`. Rejects with SlipwayError (ERR_TUN_…,
 * ERR_NAMESPACE_…, ERR_COMMAND_…).
 */
export async function startCommandGuest(
  network: RunningNetwork,
  address: number,
  command: readonly string[],
  options: { readonly forwardSignals: boolean; readonly env?: Readonly<Record<string, string | undefined>> },
): Promise<CommandGuest> {
  const { config, control } = network;
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
  return { shared: guest.shared, status: statusOf(guest), kill: (signal) => guest.kill(signal) };
}

async function statusOf(guest: NamespaceGuest): Promise<number> {
  const end = await guest.exited;
  if ('code' in end) return end.code;
  const number = constants.signals[end.signal as NodeJS.Signals] as number | undefined;
  return 128 + (number ?? Number(/^SIG(\d+)$/.exec(end.signal)?.[1] ?? 0));
}
