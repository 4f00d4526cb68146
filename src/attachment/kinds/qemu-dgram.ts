import type { UnixPlace } from '../../env/attachment-place.ts';
import { NO_OFFLOADS } from '../../env/offloads.ts';
import { UNIX_PATH_BYTES } from '../../facts/unix-path.ts';
import { MAX_FRAME_BYTES } from '../attachment-space.ts';
import type { AttachmentKind } from './kind.ts';
import { qemuNetdev } from './qemu-arguments.ts';
import { unixAddress } from './unix-address.ts';

/** QEMU's end has a path of its own, beside ours. */
const QEMU_SUFFIX = '.qemu';

/** QEMU's `-netdev dgram` between two unix sockets: one frame a datagram, one guest at a socket. */
export const QEMU_DGRAM: AttachmentKind<UnixPlace> = {
  scheme: 'qemu+dgram',
  example: 'qemu+dgram:///path',
  program: 'qemu',
  programs: 'QEMU 7.2 and later',
  dials: false,
  carrier: 'datagram',
  protocol: 'datagrams',
  maxFrameBytes: MAX_FRAME_BYTES,
  offloads: NO_OFFLOADS,
  parse: (rest) => unixAddress('qemu+dgram', rest, UNIX_PATH_BYTES - QEMU_SUFFIX.length),
  guestArguments: ({ path }) =>
    qemuNetdev('dgram', [
      ['local.type', 'unix'],
      ['local.path', `${path}${QEMU_SUFFIX}`],
      ['remote.type', 'unix'],
      ['remote.path', path],
    ]),
};
