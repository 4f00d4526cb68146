import { isIP } from 'node:net';
import { z } from 'zod';
import { FORWARD_DEFAULTS, type ForwardSpec, type GuestEnd, type HostEnd } from '../../config/forward.ts';
import { listenAddress } from '../../config/port-spec.ts';
import { formatIpv4Address, parseIpv4Address } from '../../wire/ipv4-address.ts';
import { type CompatBody, readCompatBody, textField } from '../server/compat-body.ts';

/** vpnkit's Port: "out" is this computer's side, "in" the guest's. What is empty or 0 is left out of the JSON. */
export interface Port {
  readonly proto: string;
  readonly out_ip: string;
  readonly out_port: number;
  readonly out_path: string;
  readonly in_ip: string;
  readonly in_port: number;
  readonly in_path: string;
  readonly annotation: string;
}

const EMPTY: Port = {
  proto: '',
  out_ip: '',
  out_port: 0,
  out_path: '',
  in_ip: '',
  in_port: 0,
  in_path: '',
  annotation: '',
};

const addressField = textField.refine(
  (said) => said === '' || (isIP(said) !== 0 && !said.includes('%')),
  'an IP address',
);
const portField = z
  .int()
  .min(0)
  .max(0xffff)
  .nullish()
  .transform((said) => said ?? 0);

const portSchema: z.ZodType<Port> = z.object({
  proto: textField,
  out_ip: addressField,
  out_port: portField,
  out_path: textField,
  in_ip: addressField,
  in_port: portField,
  in_path: textField,
  annotation: textField,
});

/** The port in a body, or why it is none. Without a body everything is empty. */
export function readPort(body: Uint8Array): CompatBody<Port> {
  return body.length === 0 ? { value: EMPTY } : readCompatBody(body, portSchema);
}

/** As vpnkit lists it. */
export function shownPort(port: Port): Partial<Port> {
  return Object.fromEntries(Object.entries(port).filter(([, value]) => value !== '' && value !== 0));
}

/** The forward of a port; a text for what cannot be one here. */
export function forwardOf(port: Port): ForwardSpec | string {
  const protocol = port.proto as ForwardSpec['protocol'];
  const guest = guestEnd(port);
  if (typeof guest === 'string') return guest;
  if (protocol === 'unix' && !port.out_path.startsWith('/'))
    return `listen unix ${port.out_path}: the path is not absolute`;
  const host: HostEnd =
    protocol === 'unix'
      ? { kind: 'unix', path: port.out_path }
      : { kind: 'port', address: listenAddress(port.out_ip) ?? '', port: port.out_port };
  return { ...FORWARD_DEFAULTS, protocol, host, guest, count: 1, owner: 'vpnkit' };
}

/** vpnkit asks a program in the VM, to which 127.0.0.1 is the VM itself; here that is the first guest. */
function guestEnd({ in_ip, in_port, in_path }: Port): GuestEnd | string {
  if (in_path !== '') {
    return `${in_path} in the guest can only be reached through its sshd; expose it with gvproxy's API or slipway ports`;
  }
  const itself = in_ip === '' || in_ip.startsWith('127.') || in_ip === '0.0.0.0' || in_ip === '::1' || in_ip === '::';
  const address = itself ? undefined : parseIpv4Address(listenAddress(in_ip) ?? '');
  if (!itself && address === undefined) return `${in_ip} is not the address of a guest: guests have IPv4`;
  return { kind: 'port', address, port: in_port };
}

/** A forward as vpnkit would list it, one port for each of a range. */
export function portsOf({ protocol, host, guest, count }: ForwardSpec, boundPort: number): Port[] {
  const inside = {
    in_ip: guest.address === undefined ? '' : formatIpv4Address(guest.address),
    in_path: guest.kind === 'ssh' ? guest.path : '',
  };
  if (host.kind === 'unix') {
    const in_port = guest.kind === 'ssh' ? 0 : guest.port;
    return [{ ...EMPTY, proto: protocol, out_path: host.path, ...inside, in_port }];
  }
  const first = host.port === 0 ? boundPort : host.port;
  return Array.from({ length: count }, (_, index) => ({
    ...EMPTY,
    proto: protocol,
    out_ip: host.address,
    out_port: first + index,
    ...inside,
    in_port: guest.port + index,
  }));
}
