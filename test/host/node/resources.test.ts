import { strict as assert } from 'node:assert';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import type { HostStream } from '../../../src/env/host.ts';
import { NodePeers } from '../suite/node-peers.ts';
import { pattern, Rig } from '../suite/rig.ts';
import { SocketPaths } from '../suite/socket-paths.ts';
import { createNodeHarness } from './harness.ts';

const ENDINGS: readonly ((stream: HostStream) => void)[] = [
  (stream) => stream.abort(),
  (stream) => stream.close(),
  (stream) => {
    stream.shutdownWrite();
    stream.close();
  },
  (stream) => {
    stream.close();
    stream.abort();
  },
  (stream) => {
    stream.shutdownWrite();
    stream.abort();
  },
];

test('descriptors are back at the base line after 500 streams, however they ended, and 100 datagram sockets', {
  skip: process.platform !== 'linux',
}, async () => {
  const paths = new SocketPaths();
  const harness = createNodeHarness({ services: new Map() });
  const peers = new NodePeers(new Map(), undefined);
  const rig = new Rig(harness, peers, paths);
  try {
    const server = await peers.listenTcp();
    const echo = await peers.openUdp({ echo: true });
    const before = descriptors();
    for (let round = 0; round < 10; round++) {
      const dials = Array.from({ length: 50 }, () => rig.startDial(server));
      await rig.until(() => dials.every(({ events }) => events.isConnected), 'all to connect');
      for (const [i, { stream }] of dials.entries()) {
        if (i % 2 === 0) rig.write(stream, pattern(1000));
        ENDINGS[i % ENDINGS.length]?.(stream);
      }
      for (let i = 0; i < 10; i++) {
        const { socket } = rig.openDatagram();
        rig.sendBatch(socket, [{ bytes: pattern(10), to: echo }]);
        await rig.receive(socket, 1);
        socket.close();
      }
      await rig.until(() => server.connections.length === (round + 1) * 50, 'all to be accepted');
      for (const peer of server.connections.slice(-50)) peer.end();
    }
    await rig.until(() => descriptors() <= before, `the base line of ${before} descriptors`);
    assert.ok(descriptors() <= before);
  } finally {
    await peers.close();
    paths.remove();
  }
});

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}
