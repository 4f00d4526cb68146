import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { readU16 } from '../../src/wire/bytes.ts';
import { DNS_TYPE_A } from '../../src/wire/dns-message.ts';
import { type Question, queryBytes, type Read, readMessage } from './dns-messages.ts';
import type { TestNamespace } from './namespace.ts';
import { GATEWAY } from './slipway.ts';
import { within } from './sockets.ts';

/** Where it asks. */
export interface AskedServer {
  readonly address: string;
  readonly port: number;
}

/**
 * One client of a guest: a UDP socket in its namespace, connected to the nameserver, with any number of questions on
 * their way.
 */
export class DnsAsker {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, (answer: Read) => void>();
  #id = 0;
  /** Answers to nothing that was asked, or to something else than was asked. */
  strangers = 0;

  static async open(
    t: Pick<TestContext, 'after'>,
    namespace: TestNamespace,
    server: AskedServer = { address: GATEWAY, port: 53 },
  ): Promise<DnsAsker> {
    const socket = createSocket('udp4');
    within(namespace, () => socket.connect(server.port, server.address));
    t.after(() => {
      socket.close();
    });
    await once(socket, 'connect');
    return new DnsAsker(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (bytes) => this.#heard(bytes));
    // A refused port shows in an answer that does not come.
    socket.on('error', () => {});
  }

  /** Questions without an answer. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Asks once; stays open when no answer comes. */
  ask(name: string, type: number = DNS_TYPE_A, question: Question = {}): Promise<Read> {
    this.#id = (this.#id + 1) & 0xffff;
    const id = this.#id;
    return new Promise((resolve) => {
      this.#waiting.set(id, (answer) => {
        const { head } = answer;
        if (head.name !== name || head.type !== type) this.strangers++;
        resolve(answer);
      });
      this.#socket.send(queryBytes(name, type, { ...question, id }));
    });
  }

  #heard(bytes: Uint8Array): void {
    const id = readU16(bytes, 0);
    const answered = this.#waiting.get(id);
    if (answered === undefined) {
      this.strangers++;
      return;
    }
    this.#waiting.delete(id);
    answered(readMessage(bytes));
  }
}
