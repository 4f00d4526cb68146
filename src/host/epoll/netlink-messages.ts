/**
 * The frame that netlink(7) puts around every message of the kernel (struct nlmsghdr), in this machine's byte order:
 * length 0, type 4, flags 6.
 */

export const NETLINK_HEADER_BYTES = 16;
/** struct nlattr: length 0, type 2, then the value. */
export const ATTRIBUTE_HEADER_BYTES = 4;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
/** NLM_F_REQUEST | NLM_F_DUMP */
const DUMP_FLAGS = 0x1 | 0x300;

/** Hears of one message, whose body is [body, end). */
export type NetlinkVisitor = (type: number, flags: number, body: number, end: number) => void;

/** Writes the question for a whole list, `bytes` long with a body of zeros. */
export function writeDumpRequest(view: DataView, at: number, bytes: number, type: number): void {
  for (let i = 0; i < bytes; i += 4) view.setUint32(at + i, 0);
  view.setUint32(at, bytes, true);
  view.setUint16(at + 4, type, true);
  view.setUint16(at + 6, DUMP_FLAGS, true);
}

/** Visits the messages in [at, at + length); what is malformed ends it. */
export function visitMessages(view: DataView, at: number, length: number, visit: NetlinkVisitor): void {
  for (let left = length; left >= NETLINK_HEADER_BYTES; ) {
    const size = view.getUint32(at, true);
    if (size < NETLINK_HEADER_BYTES || size > left) return;
    visit(view.getUint16(at + 4, true), view.getUint16(at + 6, true), at + NETLINK_HEADER_BYTES, at + size);
    const next = (size + 3) & ~3;
    at += next;
    left -= next;
  }
}
