import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type Duplex, pipeline } from 'node:stream';
import type { TakeOver } from '../control-server.ts';
import { lengthsForGuest, lengthsFromGuest } from './frame-lengths.ts';
import { goError } from './go-answer.ts';
import { refuse } from './tunnel.ts';

/** Attaches a guest; frames go both ways behind their length, u32 big-endian. */
export type GuestAttacher = () => Promise<Duplex>;

/**
 * /connect: behind the request the connection carries Ethernet frames, each behind its length as u16 little-endian (gvforwarder's and
 * HyperKit's framing). Nothing is said before the first frame. What is no frame detaches the guest.
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
    return refuse(socket, goError(500, error instanceof Error ? error.message : String(error)));
  }
  const body = Number(request.headers['content-length'] ?? 0);
  if (head.length > body) socket.unshift(head.subarray(body));
  const done = (): void => {
    socket.destroy();
    network.destroy();
  };
  pipeline(socket, lengthsFromGuest(), network, done);
  pipeline(network, lengthsForGuest(), socket, done);
}
