import { guestAddresses } from '../../config/addresses.ts';
import { SlipwayError } from '../../facts/errors.ts';
import { FORWARD_SOURCES, type ForwardSpec, forwardId, MAX_WAIT_SECONDS, PROXY_HEADERS } from '../../config/forward.ts';
import { listenAddress } from '../../config/host-address.ts';
import type { Cidr } from '../../wire/cidr.ts';
import { cidrContains, firstHost, formatCidr, lastHost } from '../../wire/cidr.ts';
import { formatIpv4Address } from '../../wire/ipv4-address.ts';
import { isUnixPath, UNIX_PATH_BYTES } from '../../facts/unix-path.ts';

/** Which addresses guests can have. */
export interface GuestAddresses {
  readonly subnet: Cidr;
  readonly gateway: number;
  readonly hostAddress: number;
}

/** The specification with its address in the one spelling that the table compares. Throws SlipwayError ERR_FORWARD_INVALID. */
export function checkedSpec(spec: ForwardSpec, network: GuestAddresses): ForwardSpec {
  const host = checkedHost(spec);
  checkGuest(spec, network);
  const { protocol, count, waitSeconds, source, proxy } = spec;
  if (!FORWARD_SOURCES.includes(source)) refuse(spec, `${source} is no source`, 'It is client or gateway.');
  if (!PROXY_HEADERS.includes(proxy)) refuse(spec, `${proxy} is no PROXY header`, 'It is none, v1 or v2.');
  if (proxy !== 'none' && protocol === 'udp') refuse(spec, 'UDP has no PROXY header', 'Leave proxy out.');
  if (!isWithin(waitSeconds, 0, MAX_WAIT_SECONDS)) {
    refuse(spec, `clients cannot be held for ${waitSeconds} s`, `Give whole seconds up to ${MAX_WAIT_SECONDS}.`);
  }
  if (count !== 1 && (protocol === 'unix' || host.kind === 'unix'))
    refuse(spec, 'a socket has no range', 'Give one port.');
  if (spec.persistent && spec.guest.kind === 'ssh' && spec.guest.passphrase !== undefined) {
    refuse(
      spec,
      'a passphrase is not kept on disk',
      'Use a key without one, or write the forward into the configuration file.',
    );
  }
  return { ...spec, host };
}

function checkedHost(spec: ForwardSpec): ForwardSpec['host'] {
  const { protocol, host, count } = spec;
  if (host.kind === 'unix') {
    if (protocol !== 'unix') refuse(spec, `${protocol} has a port, no path`, 'The protocol of a socket is unix.');
    if (!isUnixPath(host.path)) {
      refuse(spec, 'that is no path of a socket', `Give an absolute path of at most ${UNIX_PATH_BYTES} bytes.`);
    }
    return host;
  }
  if (protocol !== 'tcp' && protocol !== 'udp') refuse(spec, `${protocol} has a path, no port`, 'Use tcp or udp.');
  const address = listenAddress(host.address);
  if (address === undefined) {
    refuse(
      spec,
      `${JSON.stringify(host.address)} is no address`,
      'Give one of this computer, or none for all of them.',
    );
  }
  const last = host.lastPort ?? host.port;
  if (!isWithin(count, 1, 65_535) || !isWithin(host.port, 0, 65_535) || !isWithin(last, host.port, 65_535)) {
    refuse(spec, 'these are no ports', 'Ports go up to 65535; 0 lets the host choose one.');
  }
  if (host.port + count > 65_536) refuse(spec, 'the range ends beyond port 65535', 'Make it shorter.');
  if (count > 1 && (host.port === 0 || last > host.port)) {
    refuse(spec, 'a range cannot be chosen', 'Give its first port, or add its ports one by one.');
  }
  return { ...host, address: address! };
}

function checkGuest(spec: ForwardSpec, network: GuestAddresses): void {
  const { subnet, gateway, hostAddress } = network;
  const { guest, count } = spec;
  if (!isWithin(guest.port, 1, 65_535) || guest.port + count > 65_536) {
    refuse(spec, 'these are no ports of a guest', 'Ports go from 1 to 65535.');
  }
  if (guest.kind === 'ssh') {
    if (spec.host.kind !== 'unix')
      refuse(spec, 'only a socket reaches a socket by ssh', 'Give a path of this computer.');
    if (guest.user === '') refuse(spec, 'ssh needs a user', 'Say which one the guest knows.');
    if (!guest.path.startsWith('/')) refuse(spec, 'that is no path in the guest', 'Give an absolute one.');
    if (!guest.keyFile.startsWith('/'))
      refuse(spec, 'that is no path of a key', 'Give an absolute one of this computer.');
  }
  const { address } = guest;
  if (address === undefined) return;
  const inside = cidrContains(subnet, address) && address >= firstHost(subnet) && address <= lastHost(subnet);
  if (inside && address !== gateway && address !== hostAddress) return;
  refuse(
    spec,
    `${formatIpv4Address(address)} is no guest's address of ${formatCidr(subnet)}`,
    `Choose one from ${guestAddresses(network)}.`,
  );
}

function isWithin(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

function refuse(spec: ForwardSpec, why: string, hint: string): never {
  throw new SlipwayError('ERR_FORWARD_INVALID', `cannot forward ${forwardId(spec)}: ${why}`, hint);
}
