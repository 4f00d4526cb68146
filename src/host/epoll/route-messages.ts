/**
 * What rtnetlink(7) says, as far as the engine listens: which addresses this computer has, and that a link or a route
 * changed. The messages come from the kernel in this machine's byte order, addresses in the network's.
 */

import {
  ATTRIBUTE_HEADER_BYTES,
  NETLINK_HEADER_BYTES,
  NLMSG_DONE,
  NLMSG_ERROR,
  visitMessages,
  writeDumpRequest,
} from './netlink-messages.ts';

/** RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE */
export const ROUTE_GROUPS: number = 0x1 | 0x10 | 0x40;
export const ADDRESS_REQUEST_BYTES = 24;

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
/** The addresses changed while they were listed. */
const NLM_F_DUMP_INTR = 0x10;

const IFADDRMSG_BYTES = 8;
const IFA_LOCAL = 2;
const IFF_UP = 1;
const AF_INET = 2;
const RT_TABLE_LOCAL = 255;
const RTM_F_CLONED = 0x200;

/** Who hears what messages say. */
export interface RouteListener {
  /** The computer has the IPv4 address on link `index`: in a list, or because it was just given. */
  address(index: number, address: number): void;
  addressRemoved(): void;
  /** A link was taken up or down, or away. */
  link(index: number, up: boolean): void;
  route(): void;
  /** The list that was asked for ended, or could not be made. */
  listed(made: boolean): void;
}

/** Writes the question for all IPv4 addresses (RTM_GETADDR). */
export function writeAddressRequest(view: DataView, at: number): void {
  writeDumpRequest(view, at, ADDRESS_REQUEST_BYTES, RTM_GETADDR);
  view.setUint8(at + NETLINK_HEADER_BYTES, AF_INET);
}

/**
 * Reads the messages in [at, at + length); what is malformed ends it. True when one says that the list it is part of
 * changed meanwhile, which makes that list worthless.
 */
export function readRouteMessages(view: DataView, at: number, length: number, listener: RouteListener): boolean {
  let interrupted = false;
  visitMessages(view, at, length, (type, flags, body, end) => {
    interrupted ||= (flags & NLM_F_DUMP_INTR) !== 0;
    readMessage(view, type, body, end, listener);
  });
  return interrupted;
}

function readMessage(view: DataView, type: number, body: number, end: number, listener: RouteListener): void {
  switch (type) {
    case NLMSG_DONE:
    case NLMSG_ERROR:
      listener.listed(type === NLMSG_DONE);
      return;
    case RTM_NEWADDR:
      readAddress(view, body, end, listener);
      return;
    case RTM_DELADDR:
      listener.addressRemoved();
      return;
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      // struct ifinfomsg: index 4, flags 8, which of them changed 12.
      if (end - body < 16 || (view.getUint32(body + 12, true) & IFF_UP) === 0) return;
      const up = type === RTM_NEWLINK && (view.getUint32(body + 8, true) & IFF_UP) !== 0;
      listener.link(view.getInt32(body + 4, true), up);
      return;
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      // struct rtmsg: table 4, flags 8. The local table follows the addresses, which speak for themselves.
      if (end - body < 12 || view.getUint8(body + 4) === RT_TABLE_LOCAL) return;
      if ((view.getUint32(body + 8, true) & RTM_F_CLONED) === 0) listener.route();
    }
  }
}

/** struct ifaddrmsg (link index 4) and its attributes; on a point-to-point link IFA_ADDRESS would be the peer's. */
function readAddress(view: DataView, body: number, end: number, listener: RouteListener): void {
  if (body + IFADDRMSG_BYTES > end) return;
  const index = view.getInt32(body + 4, true);
  for (let at = body + IFADDRMSG_BYTES; at + ATTRIBUTE_HEADER_BYTES + 4 <= end; ) {
    const length = view.getUint16(at, true);
    if (length < ATTRIBUTE_HEADER_BYTES) return;
    if (view.getUint16(at + 2, true) === IFA_LOCAL) {
      listener.address(index, view.getUint32(at + ATTRIBUTE_HEADER_BYTES));
      return;
    }
    at += (length + 3) & ~3;
  }
}
