import { NO_OFFLOADS } from '../../env/offloads.ts';
import { MAX_FRAME_BYTES } from '../attachment-space.ts';
import type { AttachmentKind } from './kind.ts';

type Option = readonly [name: string, value: string];

/** What QEMU's `-netdev stream` is, whichever socket it uses. */
export const QEMU_STREAM: Omit<AttachmentKind, 'scheme' | 'example' | 'parse' | 'guestArguments'> = {
  program: 'qemu',
  programs: 'QEMU 7.2 and later',
  dials: true,
  carrier: 'stream',
  protocol: 'qemu-stream',
  maxFrameBytes: MAX_FRAME_BYTES,
  offloads: NO_OFFLOADS,
};

/** QEMU's arguments for `-netdev stream` at that address; QEMU listens where Slipway dials. */
export function qemuStream(connect: boolean, address: readonly Option[]): string[] {
  return qemuNetdev('stream', connect ? [['server', 'on'], ...address] : address);
}

/** QEMU's arguments for a network card. A comma in a value is doubled (qemu(1)). */
export function qemuNetdev(type: string, options: readonly Option[]): string[] {
  const words = [type, 'id=net0', ...options.map(([name, value]) => `${name}=${value.replaceAll(',', ',,')}`)];
  return ['-netdev', words.join(','), '-device', 'virtio-net-pci,netdev=net0'];
}
