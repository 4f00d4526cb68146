import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { FreePorts } from '../container-exchanges.ts';

/** How many ports of the kernel's choice are tried: each may be taken for the other address family. */
const TRIES = 64;

/**
 * Chooses ports that can be bound at the host now. Another program may take one before it is: the bind says so then.
 */
export const hostFreePorts: FreePorts = {
  async choose(protocol, hostIp, first, last) {
    const addresses = hostIp === '' ? ['0.0.0.0', '::'] : [hostIp];
    const isAny = first === 0;
    for (let tries = 0; tries < (isAny ? TRIES : last - first + 1); tries++) {
      const port = isAny ? await bindOnce(protocol, addresses[0]!, 0) : first + tries;
      if (port === undefined) break;
      const bound = await Promise.all(addresses.map((address) => bindOnce(protocol, address, port)));
      if (bound.every((one) => one !== undefined)) return port;
    }
    const range = isAny ? '' : ` from ${first} to ${last}`;
    throw new Error(`Ports are not available: no ${protocol.toUpperCase()} port${range} is free at ${addresses[0]}`);
  },
};

/**
 * Binds and lets go again. The bound port, or undefined where it cannot be bound; an address family that is missing is
 * free.
 */
function bindOnce(protocol: 'tcp' | 'udp', address: string, port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const ended = (error: NodeJS.ErrnoException): void =>
      resolve(error.code === 'EAFNOSUPPORT' ? port || undefined : undefined);
    if (protocol === 'tcp') {
      const server = createServer();
      server.once('error', ended);
      server.listen({ port, host: address, ipv6Only: true }, () => {
        const { port: bound } = server.address() as { port: number };
        server.close(() => resolve(bound));
      });
      return;
    }
    const socket = address.includes(':') ? createSocket({ type: 'udp6', ipv6Only: true }) : createSocket('udp4');
    socket.once('error', ended);
    socket.bind(port, address, () => {
      const { port: bound } = socket.address();
      socket.close(() => resolve(bound));
    });
  });
}
