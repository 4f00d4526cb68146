import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type Duplex, pipeline } from 'node:stream';
import { shown } from '../../config/values.ts';
import { parseIpv4Address } from '../../wire/ipv4-address.ts';
import type { TakeOver } from '../server/control-server.ts';
import { portNumber } from './host-port.ts';
import { keepEarlyBytes, refuse } from './taken-connection.ts';

/** Connects to a guest's port; rejects when the guest does not take it. */
export type GuestDialer = (address: number, port: number) => Promise<Duplex>;

/**
 * /tunnel?ip=…&port=…: behind the request the connection is one to a guest's port. "OK" says that the request was
 * understood; a guest that does not accept closes behind it, as gvproxy has it. Each side may end its direction alone.
 */
export function tunnel(dial: GuestDialer): TakeOver {
  return {
    takes: ({ target }) => /^\/tunnel(?:\?|$)/.test(target),
    take: (request, socket, head) => void serve(dial, request, socket, head),
  };
}

async function serve(dial: GuestDialer, request: IncomingMessage, socket: Socket, head: Uint8Array): Promise<void> {
  socket.on('error', () => socket.destroy());
  const { searchParams } = new URL(request.url ?? '', 'http://slipway');
  const ip = searchParams.get('ip') ?? '';
  if (ip === '') return refuse(socket, 'ip is mandatory');
  const address = parseIpv4Address(ip);
  if (address === undefined || address === 0) return refuse(socket, `ip: expected an IPv4 address, found ${shown(ip)}`);
  const port = searchParams.get('port') ?? '';
  const number = portNumber(port);
  if (number === undefined || number === 0) {
    return refuse(socket, `port: expected an integer from 1 to 65535, found ${shown(port)}`);
  }
  socket.write('OK');
  try {
    const guest = await dial(address, number);
    guest.on('error', () => guest.destroy());
    keepEarlyBytes(request, socket, head);
    join(socket, guest);
  } catch {
    socket.end(() => socket.destroy());
  }
}

/** Both directions, each until its sender ends; what breaks one breaks the other. */
function join(one: Duplex, other: Duplex): void {
  if (one.destroyed) {
    other.destroy();
    return;
  }
  let open = 2;
  const done = (error: Error | null | undefined): void => {
    open--;
    if (error == null && open > 0) return;
    one.destroy();
    other.destroy();
  };
  pipeline(one, other, done);
  pipeline(other, one, done);
}
