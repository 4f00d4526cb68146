import type { TcpPlace } from '../../env/attachment-place.ts';
import { formatIpv4Address, parseIpv4Address } from '../../wire/ipv4-address.ts';
import type { AttachmentKind } from './kind.ts';
import { QEMU_STREAM, qemuStream } from './qemu-arguments.ts';

/** QEMU's `-netdev stream` over TCP, which has no password: on loopback only. */
export const QEMU_TCP: AttachmentKind<TcpPlace> = {
  ...QEMU_STREAM,
  scheme: 'qemu+tcp',
  example: 'qemu+tcp://127.0.0.1:port',
  parse: loopbackPort,
  guestArguments: ({ address, port }, connect) =>
    qemuStream(connect, [
      ['addr.type', 'inet'],
      ['addr.host', formatIpv4Address(address)],
      ['addr.port', String(port)],
    ]),
};

function loopbackPort(rest: string, connect: boolean): TcpPlace | string {
  const match = /^([^:/]+):(\d{1,5})\/?$/.exec(rest);
  const port = Number(match?.[2] ?? -1);
  if (match === null || port > 65535) return 'an address and a port, as in qemu+tcp://127.0.0.1:4444';
  if (connect && port === 0) return 'a port from 1 to 65535 to connect to';
  const name = match[1] ?? '';
  const address = name === 'localhost' ? 0x7f000001 : parseIpv4Address(name);
  if (address === undefined) return 'an IPv4 loopback address, as in qemu+tcp://127.0.0.1:4444';
  if (address >>> 24 !== 127) {
    return `a loopback address such as 127.0.0.1: ${connect ? 'QEMU is dialled' : 'this port is'} without a password, so ${name} would let other computers ${connect ? 'read every frame' : 'join the network'}`;
  }
  return { kind: 'tcp', address, port };
}
