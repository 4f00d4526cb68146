import { createSocket } from 'node:dgram';
import { EventEmitter, once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { Nameserver } from '../../src/facts/nameserver.ts';
import { StreamMessages, withLength } from '../../src/services/dns/upstream/stream-messages.ts';
import type { TestNamespace } from '../support/namespace.ts';
import { within } from '../support/sockets.ts';

export interface Asked {
  readonly transport: 'udp' | 'tcp';
  readonly message: Uint8Array;
  /** May be called at any time, any number of times, with anything. */
  readonly tell: (answer: Uint8Array) => void;
}

/** A nameserver over UDP and TCP that does what the test says, and remembers what it was asked. */
export interface TestNameserver extends Nameserver {
  readonly asked: readonly Asked[];
  /** Waits until it was asked that often. */
  heard(count: number): Promise<readonly Asked[]>;
}

export async function nameserver(
  t: TestContext,
  answer: (asked: Asked) => void,
  place: { readonly namespace?: TestNamespace; readonly address?: string; readonly port?: number } = {},
): Promise<TestNameserver> {
  const { namespace, address = '127.0.0.1' } = place;
  const asked: Asked[] = [];
  const events = new EventEmitter();
  const take = (one: Asked): void => {
    asked.push(one);
    answer(one);
    events.emit('asked');
  };
  const datagrams = createSocket('udp4');
  datagrams.on('message', (message, { port, address: from }) => {
    take({ transport: 'udp', message: new Uint8Array(message), tell: (told) => datagrams.send(told, port, from) });
  });
  within(namespace, () => datagrams.bind({ address, port: place.port ?? 0, exclusive: true }));
  await once(datagrams, 'listening');
  const { port } = datagrams.address();

  const sockets = new Set<Socket>();
  const connections = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    const messages = new StreamMessages();
    socket.on('data', (bytes) => {
      messages.push(bytes);
      for (let message = messages.next(); message !== undefined; message = messages.next()) {
        take({
          transport: 'tcp',
          message: new Uint8Array(message),
          tell: (told) => void socket.write(withLength(told)),
        });
      }
    });
  });
  within(namespace, () => connections.listen({ port, host: address }));
  await once(connections, 'listening');
  t.after(() => {
    datagrams.close();
    connections.close();
    for (const socket of sockets) socket.destroy();
  });
  return {
    address,
    port: (connections.address() as AddressInfo).port,
    asked,
    async heard(count) {
      while (asked.length < count) await once(events, 'asked');
      return asked;
    },
  };
}
