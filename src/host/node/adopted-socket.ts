import { closeSync } from 'node:fs';
import { Socket } from 'node:net';

/**
 * A connected stream socket, taken over by its descriptor. Throws Node's error when it is none; `fd` is closed then.
 */
export function adoptedSocket(fd: number): Socket {
  try {
    return new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
