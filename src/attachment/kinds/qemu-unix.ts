import type { UnixPlace } from '../../env/attachment-place.ts';
import type { AttachmentKind } from './kind.ts';
import { QEMU_STREAM, qemuStream } from './qemu-arguments.ts';
import { unixAddress } from './unix-address.ts';

/** QEMU's `-netdev stream` over a unix socket. */
export const QEMU_UNIX: AttachmentKind<UnixPlace> = {
  ...QEMU_STREAM,
  scheme: 'qemu+unix',
  example: 'qemu+unix:///path',
  parse: (rest) => unixAddress('qemu+unix', rest),
  guestArguments: ({ path }, connect) =>
    qemuStream(connect, [
      ['addr.type', 'unix'],
      ['addr.path', path],
    ]),
};
