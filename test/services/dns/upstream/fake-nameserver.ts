import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Nameserver } from '../../../../src/facts/nameserver.ts';
import { StreamMessages, withLength } from '../../../../src/services/dns/upstream/stream-messages.ts';
import { readU16, writeU16, writeU32 } from '../../../../src/wire/bytes.ts';
import { DNS_QR, DNS_RA, DNS_TYPE_A, DnsQuestion, parseDnsQuestion } from '../../../../src/wire/dns-message.ts';

/** A question that arrived, and the way back. */
export interface Heard {
  readonly bytes: Uint8Array;
  readonly question: DnsQuestion;
  readonly transport: 'udp' | 'tcp';
  /** The asker's port; for TCP it names the connection. */
  readonly port: number;
  reply(message: Uint8Array): void;
  /** Bytes as they are, for TCP without length. */
  write(bytes: Uint8Array): void;
  /** TCP: ends the connection. */
  hangUp(): void;
}

export interface AnswerParts {
  readonly rcode?: number;
  readonly flags?: number;
  /** The last byte of 10.0.0.x of each A record. */
  readonly addresses?: readonly number[];
  /** An OPT record with this upper rcode. */
  readonly opt?: number;
}

/** The answer to `heard`. */
export function answerTo({ bytes, question }: Heard, parts: AnswerParts = {}): Uint8Array {
  const addresses = parts.addresses ?? [1];
  const optBytes = parts.opt === undefined ? 0 : 11;
  const answer = new Uint8Array(question.questionEnd + addresses.length * 16 + optBytes);
  answer.set(bytes.subarray(0, question.questionEnd));
  writeU16(answer, 2, DNS_QR | DNS_RA | (parts.flags ?? 0) | (parts.rcode ?? 0));
  writeU16(answer, 6, addresses.length);
  writeU16(answer, 8, 0);
  writeU16(answer, 10, optBytes === 0 ? 0 : 1);
  let at = question.questionEnd;
  for (const last of addresses) {
    writeU16(answer, at, 0xc00c);
    writeU16(answer, at + 2, DNS_TYPE_A);
    writeU16(answer, at + 4, 1);
    writeU32(answer, at + 6, 60);
    writeU16(answer, at + 10, 4);
    writeU32(answer, at + 12, 0x0a000000 + last);
    at += 16;
  }
  if (parts.opt !== undefined) {
    writeU16(answer, at + 1, 41);
    writeU16(answer, at + 3, 1232);
    answer[at + 5] = parts.opt;
  }
  return answer;
}

/** A nameserver on loopback that says only what the test makes it say. Ports are the kernel's choice. */
export class FakeNameserver {
  readonly nameserver: Nameserver;
  /** TCP connections so far. */
  connections = 0;
  readonly #udp: DatagramSocket;
  readonly #tcp: Server;
  readonly #open = new Set<Socket>();
  readonly #heard: Heard[] = [];
  readonly #waiting: ((heard: Heard) => void)[] = [];

  private constructor(udp: DatagramSocket, tcp: Server) {
    this.#udp = udp;
    this.#tcp = tcp;
    this.nameserver = { address: '127.0.0.1', port: udp.address().port };
    udp.on('message', (message, { port }) => {
      this.#arrived('udp', message, port, {
        write: (bytes) => udp.send(bytes, port, '127.0.0.1'),
        hangUp: () => {},
      });
    });
    tcp.on('connection', (socket) => this.#connected(socket));
  }

  static async open(): Promise<FakeNameserver> {
    for (;;) {
      const tcp = createServer().listen(0, '127.0.0.1');
      await once(tcp, 'listening');
      const udp = createSocket('udp4').bind((tcp.address() as AddressInfo).port, '127.0.0.1');
      // 'error': somebody else has that port for UDP.
      const bound = await once(udp, 'listening').catch(() => undefined);
      if (bound !== undefined) return new FakeNameserver(udp, tcp);
      tcp.close();
      udp.close();
    }
  }

  /** The next question that came and was not taken yet. */
  next(): Promise<Heard> {
    const heard = this.#heard.shift();
    return heard === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(heard);
  }

  /** Questions that came and were not taken. */
  get untaken(): number {
    return this.#heard.length;
  }

  /** From now on there is no TCP. */
  async closeTcp(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    if (this.#tcp.listening) await new Promise((resolve) => this.#tcp.close(resolve));
  }

  async closeUdp(): Promise<void> {
    await new Promise<void>((resolve) => this.#udp.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.closeTcp();
    await this.closeUdp().catch(() => {});
  }

  #connected(socket: Socket): void {
    this.connections++;
    this.#open.add(socket);
    const messages = new StreamMessages();
    socket.on('close', () => this.#open.delete(socket));
    socket.on('error', () => {});
    socket.on('data', (bytes: Uint8Array) => {
      messages.push(bytes);
      for (let message = messages.next(); message !== undefined; message = messages.next()) {
        this.#arrived('tcp', message, socket.remotePort ?? 0, {
          write: (out) => void socket.write(out),
          hangUp: () => void socket.destroy(),
        });
      }
    });
  }

  #arrived(
    transport: 'udp' | 'tcp',
    message: Uint8Array,
    port: number,
    way: { write(bytes: Uint8Array): void; hangUp(): void },
  ): void {
    const bytes = Uint8Array.from(message);
    const question = new DnsQuestion();
    parseDnsQuestion(bytes, 0, bytes.length, question);
    const reply = (answer: Uint8Array): void => way.write(transport === 'tcp' ? withLength(answer) : answer);
    const heard: Heard = { bytes, question, transport, port, reply, ...way };
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#heard.push(heard);
    else waiting(heard);
  }
}

/** The last byte of each address in an answer of `answerTo`. */
export function addressesIn(message: Uint8Array): number[] {
  const question = new DnsQuestion();
  parseDnsQuestion(message, 0, message.length, question);
  const count = readU16(message, 6);
  return Array.from({ length: count }, (_, i) => message[question.questionEnd + i * 16 + 15] ?? -1);
}
