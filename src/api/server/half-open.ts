import type { Server } from 'node:http';

/**
 * Makes a server answer a client that has closed its own side, as `nc -N` and gvproxy's clients do: node:http would
 * otherwise end the connection at once, with the request carried out and no answer. (`httpAllowHalfOpen` is Node's own
 * switch, without a type.)
 */
export function allowHalfOpen(server: Server): Server {
  return Object.assign(server, { httpAllowHalfOpen: true });
}
