import { createServer, type Server, type Socket } from 'node:net';
import type { Counters } from '../../env/counters.ts';
import { readU16 } from '../../wire/bytes.ts';
import { parseProxyV2 } from '../../wire/proxy-v2.ts';
import type { DnsService } from './dns-service.ts';
import { withLength } from './forwarder.ts';

/** Connections at once: TCP is the exception for DNS, and each may hold a message of 64 KiB. */
const MAX_CONNECTIONS = 128;
/** RFC 7766 §6.2.3 wants idle connections closed in the order of seconds. */
const IDLE_MS = 10_000;

/**
 * DNS over TCP (RFC 7766): an ordinary server on a unix socket, where each connection begins with a PROXY v2 header.
 * Questions on one connection are answered one after the other. The caller makes it listen.
 */
export function dnsStreamServer(service: DnsService, counters: Counters): Server {
  // Half-open: who has asked everything may close its side and still hears the answer.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    converse(socket, service).catch(() => {
      counters.add('dns-stream-fault');
      socket.destroy();
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}

async function converse(socket: Socket, service: DnsService): Promise<void> {
  socket.setTimeout(IDLE_MS, () => socket.destroy());
  let held: Uint8Array = new Uint8Array(0);
  let introduced = false;
  // Awaiting inside the loop stops reading, so a guest that never reads its answers is not read either.
  for await (const bytes of socket as AsyncIterable<Uint8Array>) {
    held = joined(held, bytes);
    if (!introduced) {
      const header = parseProxyV2(held, 0, held.length);
      if (header === undefined) continue;
      if (typeof header === 'string') throw new Error(header);
      introduced = true;
      held = held.subarray(header.headerBytes);
    }
    while (held.length >= 2 && held.length >= 2 + readU16(held, 0)) {
      const length = readU16(held, 0);
      const answer = await service.answer(held.slice(2, 2 + length), 'tcp');
      held = held.subarray(2 + length);
      if (answer !== undefined) await written(socket, withLength(answer));
    }
  }
  socket.end();
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function written(socket: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}
