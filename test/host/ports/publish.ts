/**
 * A program that publishes as a test's user: `publish.ts {…PortRequest, helper}`. Prints one line of JSON, the bound
 * port or the error, and then serves "hello" over TCP at what it bound until its input ends.
 */
import { createServer } from 'node:net';
import { openPorts } from '../../../src/host/ports/open-ports.ts';

const { helper, ...request } = JSON.parse(process.argv[2]!);
try {
  const { sockets, boundPort, descriptors } = await openPorts(request, { helper });
  const servers =
    request.protocol === 'udp'
      ? []
      : sockets.fds.map((fd) => ({ fd, server: createServer((one) => one.end('hello')) }));
  await Promise.all(servers.map(({ fd, server }) => new Promise<void>((done) => server.listen({ fd }, done))));
  console.log(JSON.stringify({ boundPort, descriptors }));
  process.stdin.on('end', () => process.exit()).resume();
} catch (error) {
  const { code, message, hint } = error as { code?: string; message?: string; hint?: string };
  console.log(JSON.stringify({ code, message, hint }));
}
