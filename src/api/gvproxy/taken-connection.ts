import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { headersOf } from './answer.ts';

/**
 * Puts back what the client sent ahead of the answer, without the request's own body: `head` is all that came after its
 * headers.
 */
export function keepEarlyBytes(request: IncomingMessage, socket: Socket, head: Uint8Array): void {
  const body = Number(request.headers['content-length'] ?? 0);
  if (head.length > body) socket.unshift(head.subarray(body));
}

/** Answers a request whose connection the HTTP server has given away with status 500, and closes it. */
export function refuse(socket: Socket, message: string): void {
  const answer = { status: 500, body: `${message}\n` };
  const headers = { ...headersOf(answer), 'content-length': `${Buffer.byteLength(answer.body)}`, connection: 'close' };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 500 Internal Server Error\r\n${lines.join('')}\r\n${answer.body}`, () => socket.destroy());
}
