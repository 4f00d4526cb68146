import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { listenPrivately } from '../../../src/control/service-socket.ts';
import { Counters } from '../../../src/env/counters.ts';
import { writeProxyV2 } from '../../../src/host/proxy-v2.ts';
import { DnsService } from '../../../src/services/dns/dns-service.ts';
import { dnsStreamServer } from '../../../src/services/dns/dns-stream-server.ts';
import { withLength } from '../../../src/services/dns/forwarder.ts';
import { readU16 } from '../../../src/wire/bytes.ts';
import { parseCidr } from '../../../src/wire/cidr.ts';
import { DNS_TYPE_A, writeDnsQuery } from '../../../src/wire/dns-message.ts';

const ORIGIN = { guestAddress: 0xc0a84103, guestPort: 40000, originalAddress: 0xc0a84101, originalPort: 53 };

function query(name: string): Uint8Array {
  const bytes = new Uint8Array(512);
  return withLength(bytes.slice(0, writeDnsQuery(bytes, 0, bytes.length, 7, name, DNS_TYPE_A)));
}

async function start(counters: Counters): Promise<{ path: string; close(): void }> {
  const dns = new DnsService({
    subnet: parseCidr('192.168.65.0/24')!,
    gateway: 0xc0a84101,
    hostAddress: 0xc0a841fe,
    hostNames: ['host.docker.internal'],
    gatewayNames: [],
    ttlSeconds: 10,
    lookups: 16,
    counters,
    nameservers: () => [],
  });
  const server = dnsStreamServer(dns, counters);
  const socket = await listenPrivately(server, 'dns');
  return {
    path: socket.path,
    close: () => {
      socket.close();
      server.close();
    },
  };
}

test('questions that arrive byte by byte, two of them after one PROXY header, are answered in order', async () => {
  const server = await start(new Counters());
  const socket = connect(server.path);
  const received: Buffer[] = [];
  socket.on('data', (bytes) => received.push(bytes));
  for (const byte of [...writeProxyV2(ORIGIN), ...query('host.docker.internal')]) socket.write(Uint8Array.of(byte));
  socket.end(query('host.docker.internal'));
  await once(socket, 'close');
  server.close();
  const bytes = Buffer.concat(received);
  const first = readU16(bytes, 0);
  assert.equal(bytes.length, 2 * (2 + first));
  assert.deepEqual([...bytes.subarray(2 + first - 4, 2 + first)], [192, 168, 65, 254]);
});

test('a connection that begins otherwise is dropped and counted', async () => {
  const counters = new Counters();
  const server = await start(counters);
  const socket = connect(server.path);
  socket.on('error', () => {});
  socket.write('GET / HTTP/1.1\r\n\r\n');
  await once(socket, 'close');
  server.close();
  assert.equal(counters.get('dns-stream-fault'), 1);
});
