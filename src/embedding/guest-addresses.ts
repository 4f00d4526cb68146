import type { Config } from '../config/config.ts';

/** Locally administered, and ours to give: 02:51:57, then the lower 24 bits of the address. */
const MAC_PREFIX = 0x0251_5700_0000;

/** The MAC of a guest that this process makes itself. */
export function guestMac(address: number): number {
  return MAC_PREFIX + (address & 0xff_ffff);
}

/** The first address for guests: .3, as Docker Desktop has it; another where that one is taken. */
export function firstGuestAddress(config: Pick<Config, 'network'>): number {
  return freeGuestAddress(config, new Set()) ?? config.network.subnet.network + 2;
}

/** The first address for guests that is none of `taken`; undefined when all are. */
export function freeGuestAddress({ network }: Pick<Config, 'network'>, taken: ReadonlySet<number>): number | undefined {
  const { subnet, gateway, hostAddress } = network;
  for (let address = subnet.network + 3; address < subnet.broadcast; address++) {
    if (address !== gateway && address !== hostAddress && !taken.has(address)) return address;
  }
  return undefined;
}
