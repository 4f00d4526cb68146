import type { Origin } from '../env/host.ts';

/** "\r\n\r\n\0\r\nQUIT\n": the 12 bytes that no other protocol begins with. */
const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
/** Version 2, command PROXY. */
const VERSION_COMMAND = 0x21;
/** AF_INET, SOCK_STREAM. */
const TCP_OVER_IPV4 = 0x11;
/** Two addresses and two ports. */
const IPV4_BLOCK_BYTES = 12;

/** Length of the header that `writeProxyV2` makes. */
export const PROXY_V2_BYTES = 28;

/**
 * The PROXY protocol header, version 2, that opens each connection to a gateway service: source is the guest,
 * destination what the guest meant to reach. (The PROXY protocol, HAProxy, §2.2.)
 */
export function writeProxyV2(origin: Origin): Uint8Array {
  const header = new Uint8Array(PROXY_V2_BYTES);
  header.set(SIGNATURE);
  const view = new DataView(header.buffer);
  view.setUint8(12, VERSION_COMMAND);
  view.setUint8(13, TCP_OVER_IPV4);
  view.setUint16(14, IPV4_BLOCK_BYTES);
  view.setUint32(16, origin.guestAddress);
  view.setUint32(20, origin.originalAddress);
  view.setUint16(24, origin.guestPort);
  view.setUint16(26, origin.originalPort);
  return header;
}
