/** Runs in a network namespace with several IPv6 addresses; prints from which of them a UDP server on [::] answers. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { LOOPBACK6 } from '../../../src/env/host.ts';
import { boundPort } from '../../../src/host/epoll/attachment-listener.ts';
import * as libc from '../../../src/host/epoll/libc.ts';
import { IPV6_V6ONLY } from '../../../src/host/socket-options.ts';
import { createEpollHarness } from './harness.ts';

const harness = createEpollHarness();
const { host, memory, arena } = harness;
const fd = libc.socket(libc.AF_INET6, libc.SOCK_DGRAM | libc.SOCK_FLAGS, 0);
memory.setOption(fd, IPV6_V6ONLY, 1);
const length = memory.writeAddress(memory.name, LOOPBACK6, 0);
// ::1 becomes ::
arena.view.setUint8(memory.name + 23, 0);
if (libc.bind(fd, memory.base + memory.name, length) < 0) throw new Error('cannot bind');
const port = boundPort(memory, fd);
const server = host.serveDatagrams({ kind: 'descriptors', fds: [fd], index: [0] }, { readable: () => {} });
if (typeof server === 'string') throw new Error(server);

const at = arena.allocate(2048);
const client = new Int32Array(1);
const batch = {
  at: new Int32Array(1),
  length: new Int32Array(1),
  address: new Float64Array(1),
  port: new Int32Array(1),
  ttl: new Int32Array(1),
  dontFragment: new Uint8Array(1),
  tos: new Uint8Array(1),
  count: 0,
};
const findings: { asked: string; answered: string; address: number }[] = [];
for (const asked of process.argv.slice(2)) {
  const socket = createSocket('udp6').bind(0, '::');
  await once(socket, 'listening');
  let answered = '';
  socket.on('message', (_bytes, { address }) => {
    answered = address;
  });
  socket.send('x', port, asked);
  await harness.until(() => server.receive(0, batch, client, at, 2048, 1) === 1, `the question to ${asked}`);
  if (!server.send(0, client[0] as number, at, 1)) throw new Error(`no answer from ${asked}`);
  await harness.until(() => answered !== '', `the answer from ${asked}`);
  findings.push({ asked, answered, address: batch.address[0] as number });
  socket.close();
}
console.log(JSON.stringify(findings));
await harness.close();
