import { isUnixPath, UNIX_PATH_BYTES } from '../facts/unix-path.ts';
import { formatCidr } from '../wire/cidr.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { FORWARD_SOURCES, type ForwardSpec, MAX_WAIT_SECONDS, PROXY_HEADERS } from './forward.ts';
import { type AddressPlan, guestAddresses, isGuestOf } from './network.ts';
import { listenAddress } from './port-spec.ts';

/** What is wrong with a forward, whoever asks for it: the file, a flag, the API, or what was kept. */
export interface ForwardFault {
  /** 'address': the guest's is none of the network. */
  readonly about: 'address' | 'forward';
  /** A sentence's end. */
  readonly why: string;
  readonly hint: string;
}

/** The first thing that keeps the forward from being opened; undefined for none. */
export function forwardFault(spec: ForwardSpec, plan: AddressPlan): ForwardFault | undefined {
  const found = hostFault(spec) ?? guestFault(spec) ?? settingsFault(spec);
  if (found !== undefined) return { about: 'forward', why: found[0], hint: found[1] };
  const { address } = spec.guest;
  if (address === undefined || isGuestOf(plan, address)) return undefined;
  return {
    about: 'address',
    why: `${formatIpv4Address(address)} is not a guest's address in ${formatCidr(plan.subnet)}`,
    hint: `Choose one from ${guestAddresses(plan)}.`,
  };
}

/** Why, and what to do. */
type Fault = readonly [string, string] | undefined;

function hostFault({ protocol, host, count }: ForwardSpec): Fault {
  if (host.kind === 'unix') {
    if (protocol !== 'unix') return [`${protocol} takes a port, not a path`, 'The protocol of a socket is unix.'];
    if (isUnixPath(host.path)) return undefined;
    return ['that is not the path of a socket', `Give an absolute path of at most ${UNIX_PATH_BYTES} bytes.`];
  }
  if (protocol !== 'tcp' && protocol !== 'udp') return [`${protocol} takes a path, not a port`, 'Use tcp or udp.'];
  if (listenAddress(host.address) === undefined) {
    return [
      `${JSON.stringify(host.address)} is no address`,
      'Give one of this computer, or leave it out for all of them.',
    ];
  }
  const last = host.lastPort ?? host.port;
  if (!isWithin(count, 1, 65_535) || !isWithin(host.port, 0, 65_535) || !isWithin(last, host.port, 65_535)) {
    return ['these are not ports', 'Ports go up to 65535; 0 lets the host choose one.'];
  }
  if (host.port + count > 65_536) return ['the range ends beyond port 65535', 'Make it shorter.'];
  if (count > 1 && (host.port === 0 || last > host.port)) {
    return ['the host cannot choose a range', 'Give its first port, or add its ports one by one.'];
  }
  return undefined;
}

function guestFault({ host, guest, count }: ForwardSpec): Fault {
  if (!isWithin(guest.port, 1, 65_535) || guest.port + count > 65_536) {
    return ['these are not ports of a guest', 'Ports go from 1 to 65535.'];
  }
  if (guest.kind !== 'ssh') return undefined;
  if (host.kind !== 'unix') return ['ssh leads from a socket to a socket', 'Give a path of this computer.'];
  if (guest.user === '') return ['ssh needs a user', 'Name a user of the guest.'];
  if (!guest.path.startsWith('/')) return ['that is not a path in the guest', 'Give an absolute one.'];
  if (!guest.keyFile.startsWith('/'))
    return ['that is not the path of a key', 'Give an absolute one of this computer.'];
  return undefined;
}

function settingsFault({ protocol, count, waitSeconds, source, proxy, persistent, guest }: ForwardSpec): Fault {
  if (!FORWARD_SOURCES.includes(source)) return [`${source} is not a source`, 'Use client or gateway.'];
  if (!PROXY_HEADERS.includes(proxy)) return [`${proxy} is not a PROXY header`, 'Use none, v1 or v2.'];
  if (proxy !== 'none' && protocol === 'udp') return ['UDP has no PROXY header', 'Leave proxy out.'];
  if (!isWithin(waitSeconds, 0, MAX_WAIT_SECONDS)) {
    return [`clients cannot be held for ${waitSeconds} s`, `Give whole seconds up to ${MAX_WAIT_SECONDS}.`];
  }
  if (count !== 1 && protocol === 'unix') return ['a socket takes no range', 'Give one port.'];
  if (persistent && guest.kind === 'ssh' && guest.passphrase !== undefined) {
    return [
      'a passphrase is never written to disk',
      'Use a key without one, or write the forward into the configuration file.',
    ];
  }
  return undefined;
}

function isWithin(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}
