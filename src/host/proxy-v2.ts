import type { Origin } from '../env/host.ts';
import {
  PROXY_V2_ATTACHMENT,
  PROXY_V2_COMMAND,
  PROXY_V2_EXTENSION_BYTES,
  PROXY_V2_FIXED_BYTES,
  PROXY_V2_SIGNATURE,
  PROXY_V2_TCP4,
  PROXY_V2_TCP4_BYTES,
} from '../wire/proxy-v2.ts';

const FIXED_BYTES = PROXY_V2_FIXED_BYTES + PROXY_V2_TCP4_BYTES;
/**
 * A URL with a path of 107 bytes, all of them escaped, and an ordinal: 350. Whoever reads the header takes 512 bytes.
 */
const MAX_ATTACHMENT_BYTES = 400;

/**
 * The PROXY protocol header, version 2, that opens each connection to a gateway service: source is the guest,
 * destination what the guest meant to reach, and an extension names the guest's attachment. (The PROXY protocol,
 * HAProxy, §2.2.)
 */
export function writeProxyV2(origin: Origin): Uint8Array {
  const attachment = Buffer.from(origin.attachment).subarray(0, MAX_ATTACHMENT_BYTES);
  const header = new Uint8Array(FIXED_BYTES + PROXY_V2_EXTENSION_BYTES + attachment.length);
  header.set(PROXY_V2_SIGNATURE);
  const view = new DataView(header.buffer);
  view.setUint8(12, PROXY_V2_COMMAND);
  view.setUint8(13, PROXY_V2_TCP4);
  view.setUint16(14, PROXY_V2_TCP4_BYTES + PROXY_V2_EXTENSION_BYTES + attachment.length);
  view.setUint32(16, origin.guestAddress);
  view.setUint32(20, origin.originalAddress);
  view.setUint16(24, origin.guestPort);
  view.setUint16(26, origin.originalPort);
  view.setUint8(FIXED_BYTES, PROXY_V2_ATTACHMENT);
  view.setUint16(FIXED_BYTES + 1, attachment.length);
  header.set(attachment, FIXED_BYTES + PROXY_V2_EXTENSION_BYTES);
  return header;
}
