import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { Counters } from '../../../src/env/counters.ts';
import { DnsService } from '../../../src/services/dns/dns-service.ts';
import type { Nameserver } from '../../../src/services/dns/forwarder.ts';
import { readU16, writeU16 } from '../../../src/wire/bytes.ts';
import { parseCidr } from '../../../src/wire/cidr.ts';
import {
  DNS_FORMERR,
  DNS_NOERROR,
  DNS_NOTIMP,
  DNS_NXDOMAIN,
  DNS_REFUSED,
  DNS_SERVFAIL,
  DNS_TC,
  DNS_TYPE_A,
  DNS_TYPE_AAAA,
  DNS_TYPE_MX,
  DNS_TYPE_PTR,
  DNS_TYPE_TXT,
  DnsQuestion,
  parseDnsQuestion,
  writeDnsQuery,
} from '../../../src/wire/dns-message.ts';
import { parseIpv4Address } from '../../../src/wire/ipv4-address.ts';
import { needs } from '../../support/needs.ts';

const GATEWAY = parseIpv4Address('192.168.65.1')!;
const HOST = parseIpv4Address('192.168.65.254')!;

function service(
  options: { nameservers?: readonly Nameserver[]; lookups?: number; counters?: Counters } = {},
): DnsService {
  return new DnsService({
    subnet: parseCidr('192.168.65.0/24')!,
    gateway: GATEWAY,
    hostAddress: HOST,
    hostNames: ['host.docker.internal', 'host.containers.internal'],
    gatewayNames: ['gateway.docker.internal'],
    ttlSeconds: 10,
    lookups: options.lookups ?? 256,
    counters: options.counters ?? new Counters(),
    nameservers: () => options.nameservers ?? [],
  });
}

function query(name: string, type: number): Uint8Array {
  const bytes = new Uint8Array(512);
  const length = writeDnsQuery(bytes, 0, bytes.length, 0x1234, name, type);
  assert.ok(length > 0);
  return bytes.slice(0, length);
}

async function ask(
  dns: DnsService,
  bytes: Uint8Array,
  transport: 'udp' | 'tcp' = 'udp',
): Promise<{ bytes: Uint8Array; head: DnsQuestion; data: Uint8Array }> {
  const answer = await dns.answer(bytes, transport);
  assert.ok(answer !== undefined);
  const head = new DnsQuestion();
  parseDnsQuestion(answer, 0, answer.length, head);
  assert.ok(head.response);
  assert.equal(head.id, readU16(bytes, 0));
  // Owner names are pointers here: two bytes, then type, class, TTL and length.
  return { bytes: answer, head, data: answer.subarray(head.questionEnd + 12) };
}

test('our own names have an A record and nothing else', async () => {
  const a = await ask(service(), query('Host.Docker.Internal', DNS_TYPE_A));
  assert.equal(a.head.rcode, DNS_NOERROR);
  assert.equal(a.head.name, 'Host.Docker.Internal');
  assert.deepEqual([...a.data], [192, 168, 65, 254]);
  assert.equal((await ask(service(), query('gateway.docker.internal', DNS_TYPE_A))).data.at(-1), 1);
  for (const type of [DNS_TYPE_AAAA, DNS_TYPE_MX]) {
    const none = await ask(service(), query('host.docker.internal', type));
    assert.equal(none.head.rcode, DNS_NOERROR);
    assert.equal(none.head.answerCount, 0);
  }
});

test('our own addresses have a name, others of the subnet have none', async () => {
  const host = await ask(service(), query('254.65.168.192.in-addr.arpa', DNS_TYPE_PTR));
  assert.equal(host.head.answerCount, 1);
  assert.match(Buffer.from(host.data).toString('latin1'), /host.docker.internal/);
  assert.equal((await ask(service(), query('7.65.168.192.in-addr.arpa', DNS_TYPE_PTR))).head.rcode, DNS_NXDOMAIN);
});

test('A and AAAA of other names come from the host’s resolver', async () => {
  const a = await ask(service(), query('localhost', DNS_TYPE_A));
  assert.deepEqual([...a.data.subarray(0, 4)], [127, 0, 0, 1]);
  const all = await ask(service(), query('LOCALHOST', DNS_TYPE_AAAA));
  assert.equal(all.head.rcode, DNS_NOERROR);
});

test('a name that getaddrinfo would take for an address does not exist', async () => {
  for (const name of ['127.0.0.1', '1', 'example.0x7f']) {
    assert.equal((await ask(service(), query(name, DNS_TYPE_A))).head.rcode, DNS_NXDOMAIN, name);
  }
});

test('what is malformed is FORMERR, what is no query is NOTIMP or REFUSED, what is an answer gets none', async () => {
  const good = query('localhost', DNS_TYPE_A);
  assert.equal((await ask(service(), good.subarray(0, good.length - 1))).head.rcode, DNS_FORMERR);
  const update = good.slice();
  writeU16(update, 2, 5 << 11);
  assert.equal((await ask(service(), update)).head.rcode, DNS_NOTIMP);
  const chaos = good.slice();
  writeU16(chaos, chaos.length - 2, 3);
  assert.equal((await ask(service(), chaos)).head.rcode, DNS_REFUSED);
  assert.equal((await ask(service(), query('example.org', 252))).head.rcode, DNS_REFUSED);
  const response = good.slice();
  writeU16(response, 2, 0x8000);
  assert.equal(await service().answer(response, 'udp'), undefined);
  assert.equal(await service().answer(good.subarray(0, 11), 'udp'), undefined);
});

test('whatever bytes come, an answer is a response with the same id, and nothing is thrown', async () => {
  const dns = service();
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), async (bytes) => {
      // Opcode 1 keeps random names away from the host's resolver.
      if (bytes.length > 2) bytes[2] = bytes[2]! | 0x08;
      const answer = await dns.answer(bytes, 'udp');
      if (answer === undefined) return;
      assert.equal(readU16(answer, 0), readU16(bytes, 0));
      assert.ok((answer[2]! & 0x80) !== 0);
    }),
  );
});

test('beyond the bound of questions at once the answer is SERVFAIL', async () => {
  const counters = new Counters();
  const silent = await silentNameserver();
  try {
    const dns = service({ lookups: 2, counters, nameservers: [silent.server] });
    const stuck = [ask(dns, query('a.example', DNS_TYPE_TXT)), ask(dns, query('b.example', DNS_TYPE_TXT))];
    assert.equal((await ask(dns, query('c.example', DNS_TYPE_TXT))).head.rcode, DNS_SERVFAIL);
    assert.equal(counters.get('dns-busy'), 1);
    await Promise.all(stuck);
    assert.equal((await ask(dns, query('localhost', DNS_TYPE_A))).head.rcode, DNS_NOERROR);
  } finally {
    silent.socket.close();
  }
});

async function silentNameserver(): Promise<{ socket: Socket; server: Nameserver }> {
  return nameserver(() => undefined);
}

async function nameserver(
  reply: (query: Uint8Array) => Uint8Array | undefined,
): Promise<{ socket: Socket; server: Nameserver }> {
  const socket = createSocket('udp4');
  socket.on('message', (message, from) => {
    const answer = reply(message);
    if (answer !== undefined) socket.send(answer, from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return { socket, server: { address: '127.0.0.1', port: (socket.address() as AddressInfo).port } };
}

test('other types are put to the host’s nameserver, with another id, and answered with the asker’s', async () => {
  let seen = -1;
  const upstream = await nameserver((message) => {
    seen = readU16(message, 0);
    const answer = new Uint8Array([...message, 0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, 6, 5, 104, 101, 108, 108, 111]);
    writeU16(answer, 2, 0x8180);
    writeU16(answer, 6, 1);
    return answer;
  });
  try {
    const txt = await ask(service({ nameservers: [upstream.server] }), query('example.org', DNS_TYPE_TXT));
    assert.equal(Buffer.from(txt.data).toString(), '\x05hello');
    assert.notEqual(seen, -1);
  } finally {
    upstream.socket.close();
  }
});

test('a nameserver that answers twice does no harm', async () => {
  const twice = createSocket('udp4');
  twice.on('message', (message, from) => {
    const answer = Uint8Array.from(message);
    writeU16(answer, 2, 0x8180);
    for (let i = 0; i < 8; i++) twice.send(answer, from.port, from.address);
  });
  twice.bind(0, '127.0.0.1');
  await once(twice, 'listening');
  try {
    const dns = service({ nameservers: [{ address: '127.0.0.1', port: (twice.address() as AddressInfo).port }] });
    for (let i = 0; i < 16; i++) {
      assert.equal((await ask(dns, query('example.org', DNS_TYPE_TXT))).head.rcode, DNS_NOERROR);
    }
  } finally {
    twice.close();
  }
});

test('a long answer is cut with TC for who takes 512 bytes', async () => {
  const upstream = await nameserver((message) => {
    const answer = new Uint8Array(900);
    answer.set(message);
    writeU16(answer, 2, 0x8180);
    return answer;
  });
  try {
    const cut = await ask(service({ nameservers: [upstream.server] }), query('example.org', DNS_TYPE_TXT));
    assert.ok((cut.head.flags & DNS_TC) !== 0);
    assert.ok(cut.bytes.length <= 512);
  } finally {
    upstream.socket.close();
  }
});

test('without a nameserver that answers, other types are SERVFAIL', async () => {
  assert.equal((await ask(service(), query('example.org', DNS_TYPE_TXT))).head.rcode, DNS_SERVFAIL);
});

/** The service behind an ordinary UDP socket, for dig. */
async function behindUdp(t: TestContext): Promise<string> {
  const dns = service();
  const socket = createSocket('udp4', (message, from) => {
    void dns.answer(message, 'udp').then((answer) => answer && socket.send(answer, from.port, from.address));
  });
  t.after(() => socket.close());
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return String((socket.address() as AddressInfo).port);
}

test('dig understands the answers', async (t) => {
  if (!needs(t, 'dig')) return;
  const port = await behindUdp(t);
  const dig = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)('dig', ['@127.0.0.1', '-p', port, '+tries=1', ...args])).stdout;
  assert.equal((await dig('+short', 'host.docker.internal')).trim(), '192.168.65.254');
  assert.equal((await dig('+short', '-x', '192.168.65.1')).trim(), 'gateway.docker.internal.');
  assert.match(await dig('host.docker.internal', 'AAAA'), /status: NOERROR[\s\S]*ANSWER: 0/);
  const withEdns = await dig('host.docker.internal');
  assert.match(withEdns, /EDNS: version: 0, flags:; udp: 1232/);
  assert.match(withEdns, /host\.docker\.internal\.\s+10\s+IN\s+A\s+192\.168\.65\.254/);
  assert.doesNotMatch(withEdns, /warning|malformed/i);
  assert.match(await dig('+edns=1', '+noednsneg', 'host.docker.internal'), /status: BADVERS/);
  assert.doesNotMatch(await dig('+noedns', 'host.docker.internal'), /EDNS/);
});
