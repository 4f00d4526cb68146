import { readU16 } from '../wire/bytes.ts';
import {
  ETHERNET_HEADER_BYTES,
  ETHERTYPE_SERVICE_VLAN,
  ETHERTYPE_VLAN,
  etherType,
  VLAN_TAG_BYTES,
} from '../wire/ethernet.ts';
import type { Frame } from './frame.ts';

const MAC_ADDRESSES_BYTES = 12;
const VLAN_ID_MASK = 0x0fff;

/**
 * Takes tags of VLAN 0 off a frame where it lies: they name a priority and no VLAN, so the frame counts as untagged
 * (IEEE 802.1Q §6.9). Tags of other VLANs stay.
 */
export function takeOffPriorityTags(bytes: Uint8Array, frame: Frame): void {
  while (isPriorityTagged(bytes, frame)) {
    const { at } = frame;
    bytes.copyWithin(at + VLAN_TAG_BYTES, at, at + MAC_ADDRESSES_BYTES);
    frame.at += VLAN_TAG_BYTES;
    frame.length -= VLAN_TAG_BYTES;
    if (frame.needsChecksum) frame.checksumStart -= VLAN_TAG_BYTES;
  }
}

function isPriorityTagged(bytes: Uint8Array, frame: Frame): boolean {
  if (frame.length < ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES) return false;
  const type = etherType(bytes, frame.at);
  if (type !== ETHERTYPE_VLAN && type !== ETHERTYPE_SERVICE_VLAN) return false;
  return (readU16(bytes, frame.at + ETHERNET_HEADER_BYTES) & VLAN_ID_MASK) === 0;
}
