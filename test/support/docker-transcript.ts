import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { bodyCounter, dechunked, responseFraming } from '../../src/docker/http/body.ts';
import { headEnd, parseResponseHead } from '../../src/docker/http/head.ts';
import { connectUnix, type UnixConnection } from '../../src/host/unix-connection.ts';

/*
 * What a client of the Engine API sees, as text that can be compared: heads octet for octet, with ids and times masked.
 * An id is called by the order in which the leg met it, so that two legs that did the same have the same names.
 */

/** One thing that a client does with the engine. `{name}` in what is sent stands for what an earlier one kept. */
export type Interaction = Ask | Dialogue | CommandLine;

interface Named {
  /** In the report. What is sent, unless told. */
  readonly name?: string;
  /** Keeps the first group of the match in the answer under that name. */
  readonly keep?: readonly [name: string, pattern: RegExp];
  /** Beyond the usual: what matches is masked. */
  readonly mask?: readonly RegExp[];
  /** Lines, and lists in JSON, come in an order of chance. */
  readonly anyOrder?: boolean;
}

/** One request on a connection that others use, too; the whole answer. */
export interface Ask extends Named {
  readonly kind: 'ask';
  readonly method: string;
  readonly path: string;
  /** Lines of the head beside Host. */
  readonly fields?: readonly string[];
  readonly body?: string | Buffer;
  /** A connection of its own that ends with it. */
  readonly alone?: boolean;
}

/** Octets on a connection of its own: text is sent, a pattern is waited for, 'end' is a half-close, 'leave' goes. */
export interface Dialogue extends Named {
  readonly kind: 'dialogue';
  readonly steps: readonly (string | Buffer | RegExp | 'end' | 'leave')[];
}

/** The command line of Docker. */
export interface CommandLine extends Named {
  readonly kind: 'cli';
  readonly args: readonly string[];
  readonly stdin?: string | Buffer;
  /** Standard output is no text: its length and hash, or its files where it is a tar archive. */
  readonly binary?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

/** An id of the engine's, whole or short. */
const HEX = /\b(?:[0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{12})\b/g;

/** A client of one engine, directly or not. */
export class DockerLeg {
  readonly #path: string;
  readonly #kept = new Map<string, string>();
  readonly #ids = new Map<string, string>();
  #shared: OpenConnection | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Does it; what was seen, masked. Rejects after a minute without an end. */
  async run(interaction: Interaction): Promise<string> {
    const late = new Promise<never>((_, reject) => {
      setTimeout(() => reject(new Error(`no end of ${JSON.stringify(interaction)}`)), 60_000).unref();
    });
    const seen = await Promise.race([this.#do(interaction), late]);
    const { keep, mask = [], anyOrder = false } = interaction;
    if (keep !== undefined) this.#kept.set(keep[0], keep[1].exec(seen)?.[1] ?? 'nothing');
    const plain = anyOrder ? seen.replaceAll(HEX, '<id>') : seen;
    const masked = mask.reduce((text, pattern) => text.replaceAll(pattern, '<masked>'), this.#masked(plain));
    return anyOrder ? sortedText(masked) : masked;
  }

  close(): void {
    this.#shared?.ends.destroy();
  }

  #do(interaction: Interaction): Promise<string> {
    switch (interaction.kind) {
      case 'ask':
        return this.#ask(interaction);
      case 'dialogue':
        return this.#talk(interaction);
      case 'cli':
        return this.#commandLine(interaction);
    }
  }

  async #ask({ method, path, fields = [], body, alone = false }: Ask): Promise<string> {
    if (!alone && this.#shared?.ended !== false) this.#shared = await OpenConnection.to(this.#path);
    const connection = alone ? await OpenConnection.to(this.#path) : this.#shared!;
    const content = typeof body === 'string' ? Buffer.from(this.#filled(body)) : body;
    const length =
      content === undefined || fields.some((field) => /^(content-length|transfer-encoding)/i.test(field))
        ? []
        : [`Content-Length: ${content.length}`];
    const head = [`${method} ${path} HTTP/1.1`, 'Host: docker', ...length, ...(alone ? ['Connection: close'] : [])];
    connection.ends.sink.write(this.#filled(`${[...head, ...fields].join('\r\n')}\r\n\r\n`));
    if (content !== undefined) connection.ends.sink.write(content);
    const seen = await connection.answer(method);
    // Whether it ends with this answer is seen before it is used again.
    if (alone || /^Connection: close\r$/m.test(seen)) {
      await connection.until(() => false);
      connection.ends.destroy();
    }
    return seen;
  }

  async #talk({ steps }: Dialogue): Promise<string> {
    const connection = await OpenConnection.to(this.#path);
    try {
      for (const step of steps) {
        if (step instanceof RegExp) await connection.until(() => step.test(connection.bytes.toString('latin1')));
        else if (step === 'end') connection.ends.sink.end();
        else if (step === 'leave') return connection.bytes.toString('latin1');
        else connection.ends.sink.write(typeof step === 'string' ? Buffer.from(this.#filled(step), 'latin1') : step);
      }
      await connection.until(() => false);
      return connection.bytes.toString('latin1');
    } finally {
      connection.ends.destroy();
    }
  }

  #commandLine({ args, stdin, binary = false, env }: CommandLine): Promise<string> {
    const argv = ['--host', `unix://${this.#path}`, ...args.map((one) => this.#filled(one))];
    const child = spawn('docker', argv, { env: { ...process.env, ...env }, stdio: 'pipe' });
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (bytes: Buffer) => out.push(bytes));
    child.stderr.on('data', (bytes: Buffer) => err.push(bytes));
    child.stdin.on('error', () => {});
    child.stdin.end(stdin);
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        const stdout = Buffer.concat(out);
        const text = binary ? described(stdout) : stdout.toString('utf8');
        resolve(`status ${code ?? signal}\n${text}\n--- stderr\n${Buffer.concat(err).toString('utf8')}`);
      });
    });
  }

  #filled(text: string): string {
    return text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => this.#kept.get(name) ?? whole);
  }

  #masked(seen: string): string {
    return seen
      .replaceAll(this.#path, '<socket>')
      .replaceAll(/^Date: .*$/gm, 'Date: <date>\r')
      .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g, '<time>')
      .replaceAll(HEX, (id) => this.#named(id))
      .replaceAll(/"(?:[A-Z2-7]{4}:){11}[A-Z2-7]{4}"/g, '"<engine>"')
      .replaceAll(/\bslipway-\d+-\d+\b/g, '<cgroup>')
      .replaceAll(/"(Pid|time|timeNano|NFd|NGoroutines|NEventsListener|Created)":-?\d+/g, '"$1":<number>')
      .replaceAll(/docker-(import-|load)\d+/g, 'docker-$1<number>')
      .replaceAll(/(?<=read udp 127\.0\.0\.1:)\d+/g, '<port>')
      .replaceAll(/"Up (?:Less than a|\d+|About a) [a-z]+/g, '"Up <while>')
      .replaceAll(/\) (?:Less than a|\d+|About a) [a-z]+ ago"/g, ') <while>"');
  }

  /** A short id is the beginning of a long one. */
  #named(id: string): string {
    const short = id.slice(0, 12);
    const name = this.#ids.get(short) ?? `<id ${this.#ids.size}>`;
    this.#ids.set(short, name);
    return name;
  }
}

/** A connection whose octets are kept as they come. */
class OpenConnection {
  /** Each direction by itself: an answer is read, though the engine takes no more of the request. */
  readonly ends: UnixConnection;
  bytes: Buffer = Buffer.alloc(0);
  ended = false;
  #wake = (): void => {};

  static async to(path: string): Promise<OpenConnection> {
    return new OpenConnection(await connectUnix(path));
  }

  private constructor(ends: UnixConnection) {
    this.ends = ends;
    ends.source.on('data', (bytes) => {
      this.bytes = Buffer.concat([this.bytes, bytes]);
      this.#wake();
    });
    for (const event of ['end', 'error', 'close'] as const) {
      ends.source.on(event, () => {
        this.ended = true;
        this.#wake();
      });
    }
  }

  /** Resolves when it is true, or the other end sends no more. */
  async until(done: () => boolean): Promise<void> {
    while (!this.ended && !done()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Takes one answer off, 1xx before it included; how it was framed stands in place of lengths. */
  async answer(method: string): Promise<string> {
    await this.until(() => headEnd(this.bytes, 0) >= 0);
    const end = headEnd(this.bytes, 0);
    if (end < 0) return `${this.#take(this.bytes.length).toString('latin1')}<end>`;
    const bytes = this.#take(end);
    const head = parseResponseHead(bytes);
    if (head === undefined) return `no HTTP: ${bytes.toString('latin1')}`;
    if (head.status < 200) return bytes.toString('latin1') + (await this.answer(method));
    const framing = responseFraming(head, method);
    if (framing.kind === 'close') await this.until(() => false);
    const counter = framing.kind === 'close' ? undefined : bodyCounter(framing);
    let length = counter === undefined ? this.bytes.length : 0;
    if (counter !== undefined) {
      await this.until(() => {
        if (!counter.done) length += counter.take(this.bytes.subarray(length));
        return counter.done;
      });
    }
    const raw = this.#take(length);
    const body = framing.kind === 'chunked' ? dechunked(raw) : raw;
    const end2 = (counter?.done ?? true) ? '' : '<cut>';
    const shownHead = bytes
      .toString('latin1')
      .replace(/^(Content-Length: )(\d+)/m, (whole, name: string, value) => {
        return Number(value) === body.length && body.length > 0 ? `${name}<its length>` : whole;
      })
      .replace(/^(X-Docker-Container-Path-Stat: )(\S+)/m, (_, name: string, value: string) => {
        return name + Buffer.from(value, 'base64').toString('utf8');
      });
    return shownHead + (/application\/(x-tar|octet-stream)/.test(shownHead) ? described(body) : body) + end2;
  }

  #take(count: number): Buffer {
    const taken = this.bytes.subarray(0, count);
    this.bytes = this.bytes.subarray(count);
    return taken;
  }
}

/** The files of a tar archive, with sizes and hashes; JSON and ids in them vary from engine to engine. */
function described(bytes: Buffer): string {
  const lines: string[] = [];
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0; ) {
    const header = bytes.subarray(at, at + 512);
    if (header.toString('latin1', 257, 262) !== 'ustar') return `${bytes.length} bytes of ${hash(bytes)}`;
    const name = header.toString('utf8', 0, 100).replace(/\0.*$/s, '').replaceAll(HEX, '<id>');
    const size = Number.parseInt(header.toString('latin1', 124, 136), 8) || 0;
    const content = bytes.subarray(at + 512, at + 512 + size);
    const isOwn = /json$|repositories$|layer\.tar$/.test(name) || header[156] === 0x78;
    lines.push(`${name} ${header.toString('latin1', 156, 157)}${isOwn ? '' : ` ${size} ${hash(content)}`}`);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return `tar\n${lines
    .filter((line) => !line.startsWith('PaxHeaders'))
    .toSorted()
    .join('\n')}`;
}

function hash(bytes: Buffer): string {
  return createHash('sha1').update(bytes).digest('base64');
}

function sortedText(text: string): string {
  return text
    .split(/[\n,[\]{}]+/)
    .toSorted()
    .join('\n');
}
