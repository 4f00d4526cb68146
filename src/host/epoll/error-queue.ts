import { type DatagramFailure, type HostErrorCode, LOOPBACK4, LOOPBACK6 } from '../../env/host.ts';
import * as libc from './libc.ts';
import { Errno, errorCode } from '../errno.ts';
import { QUEUED_ERROR, QUEUED_ERROR6 } from '../socket-options.ts';
import { ECHO_HEADER_BYTES, type MessageTables } from './message-tables.ts';

/** sock_extended_err.ee_origin: who noticed. */
const ORIGIN_LOCAL = 1;
const ORIGIN_ICMP = 2;
const ORIGIN_ICMP6 = 3;
/** struct sock_extended_err, which the offender's sockaddr follows. */
const EXTENDED_ERROR_BYTES = 16;

/** One entry of a socket's error queue. */
export interface QueuedError {
  readonly failure: DatagramFailure;
  /** The host's own doing, which the send that caused it has also returned. */
  readonly local: boolean;
  /** ICMP identifier of the lost echo request. */
  readonly identifier: number;
}

/** ICMPv6 destination unreachable, by code, as ICMPv4 codes (RFC 4443 §3.1, RFC 792, RFC 1812 §5.2.7.1). */
const UNREACHABLE6: readonly number[] = [0, 13, 1, 1, 3, 13, 13];

/**
 * Takes the oldest entry of the error queue (IP_RECVERR); undefined when it is empty. Taking it also takes the pending
 * error, which would fail the next call on the socket.
 */
export function takeError(tables: MessageTables, fd: number, echo: boolean): QueuedError | undefined {
  const { memory } = tables;
  const message = tables.resetSingle(ECHO_HEADER_BYTES);
  const quoted = libc.recvmsg(fd, message, libc.MSG_ERRQUEUE | libc.MSG_DONTWAIT);
  if (quoted < 0) return undefined;
  const { single } = tables;
  const of4 = single.receivedControl(0, QUEUED_ERROR, EXTENDED_ERROR_BYTES);
  const at = of4 >= 0 ? of4 : single.receivedControl(0, QUEUED_ERROR6, EXTENDED_ERROR_BYTES);
  if (at < 0) return { failure: unknownFailure('EIO'), local: true, identifier: -1 };
  const { view } = memory.arena;
  const number = memory.u32(at);
  const origin = view.getUint8(at + 4);
  const [icmpType, icmpCode] = icmpOf(origin, view.getUint8(at + 5), view.getUint8(at + 6));
  const offender = origin === ORIGIN_LOCAL ? 0 : memory.readAddress(at + EXTENDED_ERROR_BYTES);
  const hasHeader = echo && quoted >= ECHO_HEADER_BYTES;
  return {
    local: origin === ORIGIN_LOCAL,
    identifier: hasHeader ? view.getUint16(memory.scratch + 4) : -1,
    failure: {
      address: memory.readAddress(single.name(0)),
      port: echo ? 0 : memory.readPort(single.name(0)),
      code: errorCode(number),
      icmpType,
      icmpCode,
      // The host itself answers for its [::1]; ICMP to a guest needs an IPv4 address.
      offender: offender === LOOPBACK6 ? LOOPBACK4 : Math.max(0, offender),
      mtu: number === Errno.EMSGSIZE ? memory.u32(at + 8) : 0,
      sequence: hasHeader ? view.getUint16(memory.scratch + 6) : -1,
      length: -1,
    },
  };
}

/** Type and code as ICMPv4 words, [−1, −1] where none was sent or none fits. */
function icmpOf(origin: number, type: number, code: number): readonly [number, number] {
  if (origin === ORIGIN_ICMP) return [type, code];
  if (origin !== ORIGIN_ICMP6) return [-1, -1];
  if (type === 1) return [3, UNREACHABLE6[code] ?? 1];
  if (type === 2) return [3, 4];
  if (type === 3) return [11, code];
  return [-1, -1];
}

function unknownFailure(code: HostErrorCode): DatagramFailure {
  return {
    address: 0,
    port: 0,
    code,
    icmpType: -1,
    icmpCode: -1,
    offender: 0,
    mtu: 0,
    sequence: -1,
    length: -1,
  };
}
