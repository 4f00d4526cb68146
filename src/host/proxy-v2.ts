import type { Origin } from '../env/host.ts';
import { PROXY_V2_ATTACHMENT } from '../wire/proxy-v2.ts';

/** "\r\n\r\n\0\r\nQUIT\n": the 12 bytes that no other protocol begins with. */
const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
/** Version 2, command PROXY. */
const VERSION_COMMAND = 0x21;
/** AF_INET, SOCK_STREAM. */
const TCP_OVER_IPV4 = 0x11;
/** Two addresses and two ports. */
const IPV4_BLOCK_BYTES = 12;

/** Signature, version, family and length; addresses and ports. */
const FIXED_BYTES = 28;
/** Type and length of an extension. */
const EXTENSION_BYTES = 3;
/** A URL with a path of 107 bytes, all of them escaped, and an ordinal: 350. Whoever reads the header takes 512 bytes. */
const MAX_ATTACHMENT_BYTES = 400;

/**
 * The PROXY protocol header, version 2, that opens each connection to a gateway service: source is the guest,
 * destination what the guest meant to reach, and an extension names the guest's attachment. (The PROXY protocol, HAProxy, §2.2.)
 */
export function writeProxyV2(origin: Origin): Uint8Array {
  const attachment = Buffer.from(origin.attachment).subarray(0, MAX_ATTACHMENT_BYTES);
  const header = new Uint8Array(FIXED_BYTES + EXTENSION_BYTES + attachment.length);
  header.set(SIGNATURE);
  const view = new DataView(header.buffer);
  view.setUint8(12, VERSION_COMMAND);
  view.setUint8(13, TCP_OVER_IPV4);
  view.setUint16(14, IPV4_BLOCK_BYTES + EXTENSION_BYTES + attachment.length);
  view.setUint32(16, origin.guestAddress);
  view.setUint32(20, origin.originalAddress);
  view.setUint16(24, origin.guestPort);
  view.setUint16(26, origin.originalPort);
  view.setUint8(FIXED_BYTES, PROXY_V2_ATTACHMENT);
  view.setUint16(FIXED_BYTES + 1, attachment.length);
  header.set(attachment, FIXED_BYTES + EXTENSION_BYTES);
  return header;
}
