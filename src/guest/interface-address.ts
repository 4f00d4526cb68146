import { networkInterfaces } from 'node:os';
import { ipv4Routes } from '../host/proc/ipv4-routes.ts';
import { readProc } from '../host/proc/proc.ts';
import { formatIpv4Address, parseIpv4Address } from '../wire/ipv4-address.ts';

/**
 * The IPv4 address of an interface, as text; undefined while it has none or does not exist.
 *
 * Node leaves out interfaces that are up but not running, and a docker bridge is not running until its first container
 * is: by then its DNS must be there. So where Node does not know, the kernel's tables do: an address of this machine
 * (/proc/net/fib_trie) within a network that is directly behind the interface (/proc/net/route).
 */
export function interfaceAddress(name: string): string | undefined {
  const running = networkInterfaces()[name]?.find(({ family }) => family === 'IPv4');
  if (running !== undefined) return running.address;
  const behind = ipv4Routes().filter(({ device, gateway, mask }) => device === name && gateway === 0 && mask !== 0);
  if (behind.length === 0) return undefined;
  const address = localAddresses().find((own) =>
    behind.some(({ destination, mask }) => (own & mask) >>> 0 === destination),
  );
  return address === undefined ? undefined : formatIpv4Address(address);
}

/** All IPv4 addresses of this machine. */
export function localAddresses(file = '/proc/net/fib_trie'): readonly number[] {
  // A leaf is a line with its address, then one per route to it: "|-- 172.17.0.1", "/32 host LOCAL".
  const found = new Set<number>();
  for (const [, leaf = ''] of readProc(file).matchAll(/\|-- (\S+)\n\s+\/32 host LOCAL/g)) {
    const address = parseIpv4Address(leaf);
    if (address !== undefined) found.add(address);
  }
  return [...found];
}
