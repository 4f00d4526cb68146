import type { RequestHead, ResponseHead } from './head.ts';

/** A message that was read whole. */
export interface Whole<Head extends RequestHead | ResponseHead> {
  readonly head: Head;
  /** Its content, without the marks of chunks. */
  readonly body: Buffer;
  /** Head and body as they came. */
  readonly bytes: Buffer;
}

/** One request that is read, and perhaps changed, before it passes; and its answer likewise. */
export interface Exchange {
  /** What `before` needs of the request. Of a head, the body follows as it comes, and `body` is empty. */
  readonly reads: 'head' | 'body';
  /** What goes to the engine, or what the client is told in its place. */
  before(request: Whole<RequestHead>): Promise<{ readonly pass: Buffer } | { readonly answer: Buffer }>;
  /** What the client gets for the engine's answer. Not called where `before` answered. */
  after(response: Whole<ResponseHead>): Promise<Buffer>;
  /** In place of `after`, where no answer came, or one that is too long to be read. */
  failed(): Promise<void>;
}

/** The exchange for a request that has to be read; undefined for the many that just pass. */
export type Decode = (head: RequestHead) => Exchange | undefined;

const REASONS: Readonly<Record<number, string>> = {
  413: 'Request Entity Too Large',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
};

/** An answer in the engine's own form: `{"message": …}`. The connection ends with it where `close` is set. */
export function errorAnswer(status: number, message: string, { close = false }: { close?: boolean } = {}): Buffer {
  const body = `${JSON.stringify({ message })}\n`;
  const head = [
    `HTTP/1.1 ${status} ${REASONS[status] ?? 'Error'}`,
    'Content-Type: application/json',
    ...(close ? ['Connection: close'] : []),
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** The message with another body, and a Content-Length in place of what framed it. */
export function withBody(head: RequestHead | ResponseHead, body: Buffer): Buffer {
  const lines = head.bytes.toString('latin1').split(/\r?\n/);
  const kept = lines.filter(
    (line) => line !== '' && !/^(content-length|transfer-encoding|expect|trailer):/i.test(line),
  );
  return Buffer.concat([Buffer.from(`${kept.join('\r\n')}\r\nContent-Length: ${body.length}\r\n\r\n`, 'latin1'), body]);
}
