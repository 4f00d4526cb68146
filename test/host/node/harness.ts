import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import type { HostAddress } from '../../../src/env/host.ts';
import { hostAddressText } from '../../../src/host/address-text.ts';
import { KernelMemory } from '../../../src/host/epoll/kernel-memory.ts';
import { NodeHost } from '../../../src/host/node/node-host.ts';
import { listenPipes } from '../../../src/host/node/pipe-endpoints.ts';
import { PlainArena } from '../../support/plain-arena.ts';
import { NativePlainArena, socketPair } from '../epoll/harness.ts';
import type { Bound, Harness, HarnessOptions, PeerPlace, Wanted } from '../suite/harness.ts';
import { NodePeerConnection } from '../suite/node-peers.ts';
import { pollUntil } from '../suite/poll-until.ts';

/** The portable engine on Node's own loop: nothing to drive, a poll is one round of it. */
export function createNodeHarness(options: HarnessOptions): Harness {
  const arena = new PlainArena(8 << 20);
  const wake = (): void => {};
  const poll = async (): Promise<void> => {
    await setImmediate();
  };
  return {
    host: new NodeHost({ arena, wake, services: options.services }),
    arena,
    poll,
    until: (condition, what) => pollUntil(poll, condition, what),
    bind: async (protocol, wanted): Promise<Bound> => {
      const places = await Promise.all(wanted.map(({ address }) => freePlace(protocol, address)));
      const addresses = places.map(({ address, port }, i) => ({
        address: hostAddressText(address),
        port,
        index: (wanted[i] as Wanted).index,
      }));
      return { sockets: { kind: 'addresses', addresses }, places };
    },
    bindUnix: async (path) => ({
      sockets: { kind: 'addresses', addresses: [{ address: '', port: 0, index: 0, path }] },
      places: [{ address: 0, port: 0, path }],
    }),
    pair: async () => {
      // Node has no socketpair of its own.
      const [fd, other] = socketPair(new KernelMemory(new NativePlainArena(1 << 20)));
      return { fd, peer: new NodePeerConnection(new Socket({ fd: other, allowHalfOpen: true }), false) };
    },
    listenPipes: (path, accept) => listenPipes({ path }, { arena, wake, accept }),
    close: async () => {},
  };
}

/** An address and port that was free just now: the engine binds it itself. */
async function freePlace(protocol: 'tcp' | 'udp', address: HostAddress): Promise<PeerPlace> {
  const host = hostAddressText(address);
  if (protocol === 'tcp') {
    const server = createServer().listen(0, host);
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    server.close();
    await once(server, 'close');
    return { address, port };
  }
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4').bind(0, host);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return { address, port };
}
