import type { UnixPlace } from '../../env/attachment-place.ts';
import { NO_OFFLOADS } from '../../env/offloads.ts';
import { MAX_FRAME_BYTES } from '../attachment-space.ts';
import type { AttachmentKind } from './kind.ts';
import { unixAddress } from './unix-address.ts';

/** vfkit's and krunkit's unix datagram socket: as QEMU's, but that older ones greet before their first frame. */
export const VFKIT_UNIXGRAM: AttachmentKind<UnixPlace> = {
  scheme: 'vfkit+unixgram',
  example: 'vfkit+unixgram:///path',
  program: 'vfkit',
  programs: 'vfkit and krunkit',
  dials: false,
  carrier: 'datagram',
  protocol: 'datagrams',
  maxFrameBytes: MAX_FRAME_BYTES,
  offloads: NO_OFFLOADS,
  greeting: 'VFKT',
  parse(rest) {
    const place = unixAddress('vfkit+unixgram', rest);
    if (typeof place === 'string') return place;
    return place.path.includes(',') ? 'a path without a comma, which would end it for vfkit' : place;
  },
  guestArguments: ({ path }) => ['--device', `virtio-net,unixSocketPath=${path}`],
};
