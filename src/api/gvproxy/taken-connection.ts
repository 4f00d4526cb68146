import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type GoAnswer, goHeaders } from './go-answer.ts';

/** Puts back what the client sent ahead of the answer, without the request's own body: `head` is all that came after its headers. */
export function keepEarlyBytes(request: IncomingMessage, socket: Socket, head: Uint8Array): void {
  const body = Number(request.headers['content-length'] ?? 0);
  if (head.length > body) socket.unshift(head.subarray(body));
}

/** Answers a request whose connection the HTTP server has given away, and closes it. */
export function refuse(socket: Socket, answer: GoAnswer): void {
  const headers = { ...goHeaders(answer), 'content-length': `${Buffer.byteLength(answer.body)}`, connection: 'close' };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${answer.status} Internal Server Error\r\n${lines.join('')}\r\n${answer.body}`, () =>
    socket.destroy(),
  );
}
