import type { AttachmentKind } from './kind.ts';
import { QEMU_DGRAM } from './qemu-dgram.ts';
import { QEMU_TCP } from './qemu-tcp.ts';
import { QEMU_UNIX } from './qemu-unix.ts';
import { VFKIT_UNIXGRAM } from './vfkit-unixgram.ts';

/** Every way to attach by an address, in the order in which help and documentation show them. */
export const ATTACHMENT_KINDS: readonly AttachmentKind[] = [QEMU_UNIX, QEMU_TCP, QEMU_DGRAM, VFKIT_UNIXGRAM];

/** The kind of that scheme; undefined when there is none. */
export function kindOf(scheme: string): AttachmentKind | undefined {
  return ATTACHMENT_KINDS.find((kind) => kind.scheme === scheme);
}
