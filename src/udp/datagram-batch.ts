import type { DatagramBatch } from '../env/host.ts';

/** Datagrams in one call to the host: the bound of `HostDatagram.receive`, and enough that the call itself costs little. */
export const BATCH_DATAGRAMS = 64;

/** An empty batch with room for BATCH_DATAGRAMS. */
export function makeDatagramBatch(): DatagramBatch {
  return {
    at: new Int32Array(BATCH_DATAGRAMS),
    length: new Int32Array(BATCH_DATAGRAMS),
    address: new Float64Array(BATCH_DATAGRAMS),
    port: new Int32Array(BATCH_DATAGRAMS),
    ttl: new Int32Array(BATCH_DATAGRAMS),
    dontFragment: new Uint8Array(BATCH_DATAGRAMS),
    count: 0,
  };
}
