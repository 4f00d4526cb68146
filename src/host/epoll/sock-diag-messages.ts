/**
 * sock_diag(7) as far as the engine asks it: which TCP sockets listen in a network namespace. The messages come from
 * the kernel in this machine's byte order, addresses and ports in the network's. The question is the old one of
 * inet_diag (TCPDIAG_GETSOCK), because a single one brings IPv4 and IPv6 in one list.
 */
import { type HostAddress, LOOPBACK4 } from '../../env/host.ts';
import { MAPPED_ADDRESS_BYTES, readMappedAddress } from '../mapped-address.ts';
import * as libc from './libc.ts';
import {
  ATTRIBUTE_HEADER_BYTES,
  NETLINK_HEADER_BYTES,
  NLMSG_DONE,
  NLMSG_ERROR,
  visitMessages,
  writeDumpRequest,
} from './netlink-messages.ts';

export const LISTENERS_REQUEST_BYTES = 76;
/** A listener at every address of its network. */
export const EVERY_ADDRESS = 0;

const TCPDIAG_GETSOCK = 18;
const TCP_LISTEN = 10;

/** struct inet_diag_req after the header: the wanted states, one bit each. */
const REQUEST_STATES = NETLINK_HEADER_BYTES + 52;
/** struct inet_diag_msg after the header: family 0, state 1, port 4, address 8, interface 40. */
const MESSAGE_BYTES = 72;
const STATE = 1;
const PORT = 4;
const ADDRESS = 8;
const INTERFACE = 40;
const INET_DIAG_SKV6ONLY = 11;
/** The loopback device is the first of every network namespace. */
const LOOPBACK_DEVICE = 1;

/** Who hears what the list says. */
export interface ListenersReader {
  /** EVERY_ADDRESS, IPv4, or LOOPBACK6. A socket that takes only IPv6 from elsewhere is not told. */
  listener(address: HostAddress, port: number): void;
  /** The list ended, or could not be made. */
  listed(made: boolean): void;
}

/** Writes the question for all TCP sockets that listen. */
export function writeListenersRequest(view: DataView, at: number): void {
  writeDumpRequest(view, at, LISTENERS_REQUEST_BYTES, TCPDIAG_GETSOCK);
  view.setUint32(at + REQUEST_STATES, 1 << TCP_LISTEN, true);
}

/** Reads the messages in [at, at + length); what is malformed ends it. */
export function readListeners(view: DataView, at: number, length: number, reader: ListenersReader): void {
  visitMessages(view, at, length, (type, _flags, body, end) => {
    if (type === NLMSG_DONE || type === NLMSG_ERROR) reader.listed(type === NLMSG_DONE);
    else if (type === TCPDIAG_GETSOCK) readSocket(view, body, end, reader);
  });
}

function readSocket(view: DataView, at: number, end: number, reader: ListenersReader): void {
  if (end - at < MESSAGE_BYTES || view.getUint8(at + STATE) !== TCP_LISTEN) return;
  const address = addressOf(view, at, end);
  if (address === undefined) return;
  const onLoopback = address === EVERY_ADDRESS && view.getUint32(at + INTERFACE, true) === LOOPBACK_DEVICE;
  reader.listener(onLoopback ? LOOPBACK4 : address, view.getUint16(at + PORT));
}

/** Undefined where IPv4 does not reach it, nor loopback. */
function addressOf(view: DataView, at: number, end: number): HostAddress | undefined {
  if (view.getUint8(at) === libc.AF_INET) return view.getUint32(at + ADDRESS);
  if (view.getUint8(at) !== libc.AF_INET6) return undefined;
  for (let i = 0; i < MAPPED_ADDRESS_BYTES; i += 4) {
    if (view.getUint32(at + ADDRESS + i) === 0) continue;
    const address = readMappedAddress(new Uint8Array(view.buffer, view.byteOffset + at + ADDRESS, 16), 0);
    if (address === 0) return EVERY_ADDRESS;
    return address === -1 ? undefined : address;
  }
  return isIpv6Only(view, at + MESSAGE_BYTES, end) ? undefined : EVERY_ADDRESS;
}

/** IPV6_V6ONLY, which the kernel says of every listening IPv6 socket. */
function isIpv6Only(view: DataView, at: number, end: number): boolean {
  while (at + ATTRIBUTE_HEADER_BYTES < end) {
    const length = view.getUint16(at, true);
    if (length < ATTRIBUTE_HEADER_BYTES) return false;
    if (view.getUint16(at + 2, true) === INET_DIAG_SKV6ONLY) return view.getUint8(at + ATTRIBUTE_HEADER_BYTES) !== 0;
    at += (length + 3) & ~3;
  }
  return false;
}
