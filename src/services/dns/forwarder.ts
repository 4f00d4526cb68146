import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { readFileSync, statSync } from 'node:fs';
import { connect, isIP, isIPv6 } from 'node:net';
import { readU16, writeU16 } from '../../wire/bytes.ts';
import { DNS_TC, DnsQuestion, parseDnsQuestion } from '../../wire/dns-message.ts';
import { dnsNameKey } from '../../wire/dns-name.ts';

/** resolv.conf(5) has at most three. */
const MAX_NAMESERVERS = 3;
/** A resolver asks again after five seconds: two servers get their chance before. */
const SERVER_TIMEOUT_MS = 2000;
const DNS_PORT = 53;

export interface Nameserver {
  readonly address: string;
  readonly port: number;
}

/** The nameservers of a resolv.conf, read again whenever the file has changed (a VPN came up). */
export class ResolvConf {
  readonly #file: string;
  #changedMs = -1;
  #nameservers: readonly Nameserver[] = [];

  constructor(file = '/etc/resolv.conf') {
    this.#file = file;
  }

  nameservers(): readonly Nameserver[] {
    try {
      const { mtimeMs } = statSync(this.#file);
      if (mtimeMs !== this.#changedMs) {
        this.#nameservers = parseResolvConf(readFileSync(this.#file, 'utf8'));
        this.#changedMs = mtimeMs;
      }
    } catch {
      this.#nameservers = [];
      this.#changedMs = -1;
    }
    return this.#nameservers;
  }
}

export function parseResolvConf(text: string): readonly Nameserver[] {
  return text
    .split('\n')
    .map((line) => /^nameserver\s+(\S+)/.exec(line)?.[1] ?? '')
    .filter((address) => isIP(address.split('%', 1)[0] ?? '') !== 0)
    .slice(0, MAX_NAMESERVERS)
    .map((address) => ({ address, port: DNS_PORT }));
}

/** Puts a raw question to the host's nameservers, in their order; for the types that getaddrinfo does not know. */
export class Forwarder {
  readonly #nameservers: () => readonly Nameserver[];

  constructor(nameservers: () => readonly Nameserver[]) {
    this.#nameservers = nameservers;
  }

  /** The first answer, with the asker's id; undefined when no nameserver answers. `stream`: by TCP, so never truncated. */
  async ask(query: Uint8Array, stream: boolean): Promise<Uint8Array | undefined> {
    for (const server of this.#nameservers()) {
      const asked = query.slice();
      // An id of our own that nobody can guess (RFC 5452 §9.2).
      writeU16(asked, 0, randomInt(0x10000));
      const answer = await (stream ? overTcp(server, asked) : overUdp(server, asked));
      if (answer === undefined) continue;
      writeU16(answer, 0, readU16(query, 0));
      return answer;
    }
    return undefined;
  }
}

function overUdp(server: Nameserver, query: Uint8Array): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4');
    let open = true;
    const end = (answer?: Uint8Array): void => {
      // A second answer may be in the same batch as the first.
      if (!open) return;
      open = false;
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(end, SERVER_TIMEOUT_MS, undefined);
    socket.on('error', () => end());
    socket.on('message', (message) => {
      if (answers(query, message)) end(new Uint8Array(message));
    });
    // Connected: the kernel drops what anybody else sends, and tells a refused port at once.
    socket.connect(server.port, server.address, () => socket.send(query));
  });
}

function overTcp(server: Nameserver, query: Uint8Array): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: server.address, port: server.port });
    const timer = setTimeout(() => socket.destroy(), SERVER_TIMEOUT_MS);
    let received = new Uint8Array(0);
    let answer: Uint8Array | undefined;
    socket.on('connect', () => socket.write(withLength(query)));
    socket.on('data', (bytes) => {
      const joined = new Uint8Array(received.length + bytes.length);
      joined.set(received);
      joined.set(bytes, received.length);
      received = joined;
      if (received.length < 2 || received.length < 2 + readU16(received, 0)) return;
      const message = received.slice(2, 2 + readU16(received, 0));
      if (answers(query, message)) answer = message;
      socket.destroy();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(answer);
    });
  });
}

/** A message as DNS over TCP has it (RFC 1035 §4.2.2). */
export function withLength(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(2 + message.length);
  writeU16(framed, 0, message.length);
  framed.set(message, 2);
  return framed;
}

/** Same id, same question, and a response (RFC 5452 §9.1). */
function answers(query: Uint8Array, message: Uint8Array): boolean {
  const asked = new DnsQuestion();
  const told = new DnsQuestion();
  if (parseDnsQuestion(query, 0, query.length, asked) !== undefined) return false;
  if (parseDnsQuestion(message, 0, message.length, told) !== undefined) return false;
  return (
    told.response &&
    told.id === asked.id &&
    told.type === asked.type &&
    told.class === asked.class &&
    dnsNameKey(told.name) === dnsNameKey(asked.name)
  );
}

/** The answer cut to header and question with TC set, for an asker who takes less. */
export function truncated(answer: Uint8Array): Uint8Array {
  const question = new DnsQuestion();
  if (parseDnsQuestion(answer, 0, answer.length, question) !== undefined) return answer;
  const cut = answer.slice(0, question.questionEnd);
  writeU16(cut, 2, question.flags | DNS_TC);
  cut.fill(0, 6, 12);
  return cut;
}
