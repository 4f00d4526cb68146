import { type ForwardSpec, forwardId } from '../../config/forward.ts';
import { SlipwayError } from '../../facts/errors.ts';
import { describeForward } from './describe-forward.ts';

/** The host's sockets of a forward, by family: one address, or '*' for all. */
interface Places {
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
}

/**
 * Whether the kernel would refuse one of two forwards beside the other: the same protocol and a port in common, at one
 * address or where one of the two has every address of the family. IPv6 sockets take IPv6 alone, so the families never
 * meet.
 */
export function overlap(one: ForwardSpec, other: ForwardSpec): boolean {
  if (one.host.kind === 'unix' || other.host.kind === 'unix') {
    return one.host.kind === 'unix' && other.host.kind === 'unix' && one.host.path === other.host.path;
  }
  if (one.protocol !== other.protocol || one.host.port === 0 || other.host.port === 0) return false;
  if (one.host.port + one.count <= other.host.port || other.host.port + other.count <= one.host.port) return false;
  const [a, b] = [placesOf(one.host.address, one.ipv4Only), placesOf(other.host.address, other.ipv4Only)];
  return meet(a.ipv4, b.ipv4) || meet(a.ipv6, b.ipv6);
}

/** The host chooses the port, or one of several: it is in nobody's way before it is chosen. */
export function isToChoose({ host }: ForwardSpec): boolean {
  return host.kind === 'port' && (host.port === 0 || (host.lastPort ?? host.port) > host.port);
}

/** Whether two forwards of the same host end do the same; who asked, and for how long, is no difference. */
export function isSame(one: ForwardSpec, other: ForwardSpec): boolean {
  return sameness(one) === sameness(other);
}

/** Why `spec` cannot be: ERR_FORWARD_EXISTS. */
export function inTheWay(spec: ForwardSpec, other: ForwardSpec): SlipwayError {
  return new SlipwayError(
    'ERR_FORWARD_EXISTS',
    `${describeForward(spec)} conflicts with ${describeForward(other)} (by ${other.owner})`,
    `Remove that first: slipway ports unexpose ${forwardId(other)}`,
  );
}

function sameness({ guest, count, ipv4Only, source, proxy, waitSeconds }: ForwardSpec): string {
  const ends = guest.kind === 'ssh' ? [guest.user, guest.path, guest.keyFile, guest.passphrase] : [];
  return JSON.stringify([guest.kind, guest.address, guest.port, ...ends, count, ipv4Only, source, proxy, waitSeconds]);
}

function placesOf(address: string, ipv4Only: boolean): Places {
  if (address === '') return { ipv4: '*', ipv6: ipv4Only ? undefined : '*' };
  if (address.includes(':')) return { ipv4: undefined, ipv6: address === '::' ? '*' : address };
  return { ipv4: address === '0.0.0.0' ? '*' : address, ipv6: undefined };
}

function meet(one: string | undefined, other: string | undefined): boolean {
  return one !== undefined && other !== undefined && (one === '*' || other === '*' || one === other);
}
