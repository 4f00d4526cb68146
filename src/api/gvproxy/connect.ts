import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type Duplex, pipeline } from 'node:stream';
import type { TakeOver } from '../server/control-server.ts';
import { lengthsForGuest, lengthsFromGuest } from './frame-lengths.ts';
import { keepEarlyBytes, refuse } from './taken-connection.ts';

/** Attaches a guest. The stream carries its frames, each behind its length as u32 big-endian, as QEMU sends them. */
export type GuestAttacher = () => Promise<Duplex>;

/**
 * /connect: after the request the connection carries Ethernet frames, each behind its length as u16 little-endian, as
 * gvforwarder and HyperKit send them. The request is not answered: the first byte that comes back is of a frame. A
 * frame of an impossible length detaches the guest.
 */
export function connect(attach: GuestAttacher): TakeOver {
  return {
    takes: ({ target }) => /^\/connect(?:\?|$)/.test(target),
    take: (request, socket, head) => void serve(attach, request, socket, head),
  };
}

async function serve(attach: GuestAttacher, request: IncomingMessage, socket: Socket, head: Uint8Array): Promise<void> {
  socket.on('error', () => socket.destroy());
  let network: Duplex;
  try {
    network = await attach();
  } catch (error) {
    return refuse(socket, error instanceof Error ? error.message : String(error));
  }
  keepEarlyBytes(request, socket, head);
  const done = (): void => {
    socket.destroy();
    network.destroy();
  };
  pipeline(socket, lengthsFromGuest(), network, done);
  pipeline(network, lengthsForGuest(), socket, done);
}
