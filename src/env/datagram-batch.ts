import type { DatagramBatch } from './host.ts';

/** An empty batch with room for `capacity` datagrams. */
export function makeDatagramBatch(capacity: number): DatagramBatch {
  return {
    at: new Int32Array(capacity),
    length: new Int32Array(capacity),
    address: new Float64Array(capacity),
    port: new Int32Array(capacity),
    ttl: new Int32Array(capacity),
    dontFragment: new Uint8Array(capacity),
    tos: new Uint8Array(capacity),
    count: 0,
  };
}
