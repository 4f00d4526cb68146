import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { Counters } from '../../src/env/counters.ts';
import { type GuestDnsEvent, GuestDnsServer } from '../../src/guest/dns-server.ts';
import { GatewayExchange } from '../../src/guest/gateway-exchange.ts';
import { StreamMessages, withLength } from '../../src/services/dns/upstream/stream-messages.ts';
import type { DnsTimers } from '../../src/services/dns/upstream/timers.ts';
import { readU16, writeU16 } from '../../src/wire/bytes.ts';
import { answerBytes, queryBytes, readMessage } from '../support/dns-messages.ts';
import { needs, needsRoot } from '../support/needs.ts';
import { type Asked, nameserver, type TestNameserver } from './nameserver.ts';

const A = 1;
const TXT = 16;

interface Served {
  readonly port: number;
  readonly dns: GuestDnsServer;
}

async function served(t: TestContext, internal: TestNameserver, system: TestNameserver): Promise<Served> {
  const events: GuestDnsEvent[] = [];
  const places = [{ address: '127.0.0.1', port: 0 }];
  const dns = new GuestDnsServer({ places, internal, system, domains: [] }, (event) => events.push(event));
  t.after(() => dns.stop());
  await dns.start();
  const listening = events.find(({ event }) => event === 'listening');
  assert.ok(listening?.event === 'listening');
  return { port: listening.port, dns };
}

/** A guest's program with one UDP socket. */
async function asker(
  t: TestContext,
  port: number,
): Promise<{ socket: DatagramSocket; ask: (query: Uint8Array) => Promise<Uint8Array> }> {
  const socket = createSocket('udp4');
  socket.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  t.after(() => socket.close());
  return {
    socket,
    ask: async (query) => {
      const answer = once(socket, 'message');
      socket.send(query);
      return new Uint8Array((await answer)[0] as Uint8Array);
    },
  };
}

/** A guest's TCP connection. `next` waits for one more message. */
async function dialled(t: TestContext, port: number): Promise<{ socket: Socket; next: () => Promise<Uint8Array> }> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await once(socket, 'connect');
  t.after(() => void socket.destroy());
  const messages = new StreamMessages();
  socket.on('data', (bytes) => messages.push(bytes));
  return {
    socket,
    next: async () => {
      for (;;) {
        const message = messages.next();
        if (message !== undefined) return new Uint8Array(message);
        await once(socket, 'data');
      }
    },
  };
}

const text = (label: string, octets: number): { owner: string; data: { type: 'TXT'; texts: Uint8Array[] } } => ({
  owner: label,
  data: { type: 'TXT', texts: Array.from({ length: Math.ceil(octets / 200) }, () => new Uint8Array(200).fill(0x61)) },
});
const silent = (): void => {};

test('an answer of any content comes back as the server gave it, with the id of the question; the id on the way is another', async (t) => {
  let content = new Uint8Array();
  const system = await nameserver(t, ({ message, tell }) => {
    const told = new Uint8Array(message.length + content.length);
    told.set(message);
    told.set(content, message.length);
    told[2] = 0x81;
    tell(told);
  });
  const { port } = await served(t, await nameserver(t, silent), system);
  const { ask } = await asker(t, port);
  const stream = await dialled(t, port);
  let others = 0;
  const property = fc.asyncProperty(
    fc.uint8Array({ maxLength: 8000 }),
    fc.nat({ max: 0xffff }),
    fc.boolean(),
    async (bytes, id, tcp) => {
      content = new Uint8Array(bytes);
      const query = queryBytes('www.Example', TXT, { id, edns: { udpBytes: 65_000, dnssecOk: true } });
      if (tcp) stream.socket.write(withLength(query));
      const answer = tcp ? await stream.next() : await ask(query);
      const { message, transport } = system.asked.at(-1)!;
      assert.equal(transport, tcp ? 'tcp' : 'udp');
      if (readU16(message, 0) !== id) others++;
      writeU16(message, 0, id);
      assert.deepEqual(message, query);
      const expected = new Uint8Array([...query, ...content]);
      expected[2] = 0x81;
      assert.deepEqual(answer, expected);
    },
  );
  await fc.assert(property, { numRuns: 60 });
  assert.ok(others >= 58, 'one id in 65,536 is the same by chance');
});

/** A question as anyone with a raw socket can send it: from port 0. */
const FROM_PORT_ZERO = `
import socket, struct, sys
to, message = int(sys.argv[1]), bytes.fromhex(sys.argv[2])
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
raw.sendto(struct.pack('!HHHH', 0, to, 8 + len(message), 0) + message, ('127.0.0.1', 0))
`;

test('a question that seems to come from port 0 gets no answer and does no harm', async (t) => {
  if (!needsRoot(t) || !needs(t, 'python3')) return;
  const echo = ({ message, tell }: Asked): void => tell(answerBytes(message, {}));
  const { port, dns } = await served(t, await nameserver(t, echo), await nameserver(t, echo));
  const { ask } = await asker(t, port);
  const question = Buffer.from(queryBytes('www.example', A));
  const unknownOpcode = Buffer.from(question).fill(0x28, 2, 3);
  for (const forged of [question, unknownOpcode]) {
    execFileSync('python3', ['-c', FROM_PORT_ZERO, String(port), forged.toString('hex')]);
  }
  // Behind the forged ones in the socket's queue.
  assert.equal(readMessage(await ask(queryBytes('www.example', A))).head.rcode, 0);
  assert.equal(dns.counters.snapshot().dropped, 2);
});

test('internal names go to the internal server, all others to the system server, over UDP and over TCP', async (t) => {
  const whoami =
    (last: number) =>
    ({ message, tell }: Asked): void => {
      const { head } = readMessage(message);
      tell(answerBytes(message, { answers: [{ owner: head.name, data: { type: 'A', address: 0xc0000200 + last } }] }));
    };
  const { port, dns } = await served(t, await nameserver(t, whoami(1)), await nameserver(t, whoami(2)));
  const { ask } = await asker(t, port);
  const stream = await dialled(t, port);
  for (const [name, address] of [
    ['host.docker.internal', '192.0.2.1'],
    ['docker.for.mac.localhost', '192.0.2.1'],
    ['www.example', '192.0.2.2'],
  ] as const) {
    assert.deepEqual(readMessage(await ask(queryBytes(name, A))).records, [`answer ${name} A ${address}`]);
    stream.socket.write(withLength(queryBytes(name, A)));
    assert.deepEqual(readMessage(await stream.next()).records, [`answer ${name} A ${address}`]);
  }
  assert.deepEqual(dns.counters.snapshot(), { answered: 6, 'to-internal': 4, 'to-system': 2 });
});

test('questions pipelined on one connection are answered as the answers come, and all of them after the asker closed its side', async (t) => {
  const held: Asked[] = [];
  const system = await nameserver(t, (asked) => held.push(asked));
  const { port } = await served(t, await nameserver(t, ({ message, tell }) => tell(answerBytes(message, {}))), system);
  const { socket, next } = await dialled(t, port);
  const names = ['slow.example', 'slower.example', 'host.docker.internal'];
  const bytes = names.flatMap((name, id) => [...withLength(queryBytes(name, A, { id }))]);
  socket.end(new Uint8Array(bytes));
  assert.equal(readU16(await next(), 0), 2);
  await system.heard(2);
  for (const { message, tell } of held.reverse())
    tell(answerBytes(message, { answers: [text('big.example', 60_000)] }));
  const second = await next();
  assert.deepEqual([readU16(second, 0), readMessage(second).head.name], [1, 'slower.example']);
  assert.ok(second.length > 60_000);
  assert.equal(readU16(await next(), 0), 0);
  await once(socket, 'end');
});

test('what is no question gets FORMERR or nothing, on every socket, and the next question is answered', async (t) => {
  const system = await nameserver(t, ({ message, tell }) => {
    // Garbage before the answer: too short, a question, another question's answer.
    tell(new Uint8Array(3));
    tell(message.slice());
    const other = answerBytes(queryBytes('other.example', A), {});
    writeU16(other, 0, readU16(message, 0));
    tell(other);
    tell(answerBytes(message, {}));
  });
  const { port, dns } = await served(t, await nameserver(t, silent), system);
  const { socket, ask } = await asker(t, port);
  const stream = await dialled(t, port);
  const query = queryBytes('www.example', A, { id: 7 });
  for (const nothing of [new Uint8Array(1), query.subarray(0, 11), answerBytes(query, {})]) {
    socket.send(nothing);
    stream.socket.write(withLength(nothing));
  }
  const malformed = query.subarray(0, 14);
  assert.equal(readMessage(await ask(malformed)).head.rcode, 1);
  stream.socket.write(withLength(malformed));
  assert.equal(readMessage(await stream.next()).head.rcode, 1);
  assert.equal(readMessage(await ask(query)).head.rcode, 0);
  stream.socket.write(withLength(query));
  assert.equal(readMessage(await stream.next()).head.name, 'www.example');
  const { answered, dropped, 'not-understood': misunderstood } = dns.counters.snapshot();
  assert.deepEqual({ answered, dropped, misunderstood }, { answered: 2, dropped: 6, misunderstood: 2 });
});

test('a server whose port is closed is SERVFAIL at once, over UDP and TCP', async (t) => {
  const gone = createSocket('udp4');
  gone.bind(0, '127.0.0.1');
  await once(gone, 'listening');
  const { address, port: closedPort } = gone.address();
  gone.close();
  const there = await nameserver(t, silent);
  const exchanges = (['udp', 'tcp'] as const).map(
    // Time stands still, so nothing but the refusal can answer.
    (transport) => new GatewayExchange({ transport, counters: new Counters(), timers: new StandingTime() }),
  );
  t.after(() => {
    for (const exchange of exchanges) exchange.close();
  });
  const query = queryBytes('www.example', A);
  for (const exchange of exchanges) {
    assert.equal(await exchange.ask({ address, port: closedPort }, query, query.length), undefined);
  }
  assert.equal(there.asked.length, 0);
});

test('a question without an answer is sent once more after 1.5 s, either answer will do, and 4.5 s are the end', async (t) => {
  const time = new StandingTime();
  const exchange = new GatewayExchange({ transport: 'udp', counters: new Counters(), timers: time });
  t.after(() => exchange.close());
  const server = await nameserver(t, silent);
  const query = queryBytes('www.example', A);

  const late = exchange.ask(server, query, query.length);
  await server.heard(1);
  time.pass(1499);
  time.pass(1);
  const [first, second] = await server.heard(2);
  assert.deepEqual(first!.message.subarray(2), second!.message.subarray(2));
  first!.tell(answerBytes(first!.message, {}));
  assert.ok((await late) !== undefined);

  const never = exchange.ask(server, query, query.length);
  await server.heard(3);
  time.pass(1500);
  await server.heard(4);
  time.pass(2999);
  time.pass(1);
  assert.equal(await never, undefined);
  assert.equal(server.asked.length, 4);
});

test('an answer over TCP may take longer than a connection is trusted, and 4.5 s are the end', async (t) => {
  const time = new StandingTime();
  const exchange = new GatewayExchange({ transport: 'tcp', counters: new Counters(), timers: time });
  t.after(() => exchange.close());
  const server = await nameserver(t, silent);
  const query = queryBytes('www.example', A);
  const never = exchange.ask(server, query, query.length);
  await server.heard(1);
  time.pass(2000);
  await server.heard(2);
  time.pass(2000);
  await server.heard(3);
  time.pass(500);
  assert.equal(await never, undefined);
});

test('a server that ends each connection after a few answers still answers everything over TCP', async (t) => {
  const system = await nameserver(t, silent);
  let taken = 0;
  const brief = createServer((socket) => {
    const messages = new StreamMessages();
    let left = 3;
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      messages.push(bytes);
      for (let message = messages.next(); message !== undefined && left > 0; message = messages.next()) {
        taken++;
        socket.write(withLength(answerBytes(new Uint8Array(message), {})));
        if (--left === 0) socket.end();
      }
    });
  });
  brief.listen(0, '127.0.0.1');
  await once(brief, 'listening');
  t.after(() => void brief.close());
  const { port } = await served(t, { ...system, port: (brief.address() as AddressInfo).port }, system);
  const { socket, next } = await dialled(t, port);
  const ids = Array.from({ length: 12 }, (_, id) => id);
  socket.end(new Uint8Array(ids.flatMap((id) => [...withLength(queryBytes('host.docker.internal', A, { id }))])));
  const answers: Uint8Array[] = [];
  for (const _ of ids) answers.push(await next());
  assert.deepEqual(
    answers.map((answer) => readU16(answer, 0)).sort((a, b) => a - b),
    ids,
  );
  assert.deepEqual(new Set(answers.map((answer) => readMessage(answer).head.rcode)), new Set([0]));
  assert.ok(taken >= ids.length);
});

test('the end of the server leaves nobody waiting for ever', async (t) => {
  const system = await nameserver(t, silent);
  const { port, dns } = await served(t, await nameserver(t, silent), system);
  const { socket } = await dialled(t, port);
  socket.write(withLength(queryBytes('www.example', A)));
  await system.heard(1);
  dns.stop();
  dns.stop();
  await once(socket, 'end');
});

/** Time that passes only when the test says so. */
class StandingTime implements DnsTimers {
  #nowMs = 0;
  readonly #calls = new Set<{ readonly atMs: number; readonly call: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  after(ms: number, call: () => void): { cancel(): void } {
    const entry = { atMs: this.#nowMs + ms, call };
    this.#calls.add(entry);
    return { cancel: () => void this.#calls.delete(entry) };
  }

  pass(ms: number): void {
    this.#nowMs += ms;
    for (const entry of [...this.#calls]) {
      if (entry.atMs <= this.#nowMs && this.#calls.delete(entry)) entry.call();
    }
  }
}
