import type { ForwardSpec, ForwardStatus, HostEnd, ServiceForward } from '../../config/forward.ts';
import { formatIpv4Address } from '../../wire/ipv4-address.ts';
import type { ForwardJson, ServiceJson, SshJson } from './contract.ts';

/** A forward as the API shows it: ends are written as they may be asked for. A passphrase is never shown. */
export function forwardJson({ spec, reaches, ...status }: ForwardStatus): ForwardJson {
  const { host, guest: _guest, ...settings } = spec;
  return {
    ...status,
    ...settings,
    host: hostText(host, spec.count),
    ...guestJson(spec),
    reaches: reaches === 0 ? '' : formatIpv4Address(reaches),
  };
}

function hostText(host: HostEnd, count: number): string {
  if (host.kind === 'unix') return host.path;
  const { address, port, lastPort = port + count - 1 } = host;
  const shown = address.includes(':') ? `[${address}]` : address === '' ? '*' : address;
  return `${shown}:${range(port, lastPort)}`;
}

function guestJson({ guest, count }: ForwardSpec): { readonly guest: string } | { readonly ssh: SshJson } {
  const address = guest.address === undefined ? undefined : formatIpv4Address(guest.address);
  if (guest.kind === 'port') {
    const ports = range(guest.port, guest.port + count - 1);
    return { guest: address === undefined ? ports : `${address}:${ports}` };
  }
  const { user, path, keyFile, port } = guest;
  return { ssh: { user, path, keyFile, port, ...(address !== undefined && { address }) } };
}

function range(first: number, last: number): string {
  return first === last ? `${first}` : `${first}-${last}`;
}

export function serviceJson(service: ServiceForward): ServiceJson {
  const { protocol, port, target, name } = service;
  const address = formatIpv4Address(service.address);
  return { id: `${protocol}-${address}:${port}`, protocol, address, port, target: targetText(target), name };
}

function targetText(target: ServiceForward['target']): string {
  if (target.kind === 'unix') return `unix:${target.path}`;
  const address = formatIpv4Address(target.address);
  return target.port === 0 ? address : `${address}:${target.port}`;
}
