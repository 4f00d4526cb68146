import { LOOPBACK6 } from '../env/host.ts';
import { EVERY_ADDRESS } from '../flow/own-listeners.ts';
import { parseIpv4Address } from '../wire/ipv4-address.ts';
import type { OwnPlace } from './messages.ts';

/** A TCP listener of this process at an address as text, IPv6 perhaps in brackets. What is no address of ours in particular counts as every address. */
export function ownPort(text: string, port: number): OwnPlace {
  const bare = text.replace(/^\[|\]$/g, '');
  const address = bare === '::1' ? LOOPBACK6 : (parseIpv4Address(bare) ?? EVERY_ADDRESS);
  return { kind: 'port', protocol: 'tcp', address, port };
}
