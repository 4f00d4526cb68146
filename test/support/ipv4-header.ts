import { Ipv4Header } from '../../src/wire/ipv4.ts';

/** What a packet's header says; what is not said is 0. `flagsAndOffset`: the 16 bits as they stand in the packet. */
export function ipv4Header(facts: Partial<Ipv4Header> & { readonly flagsAndOffset?: number }): Ipv4Header {
  const { flagsAndOffset = 0, ...fields } = facts;
  const header = Object.assign(new Ipv4Header(), fields);
  header.dontFragment ||= (flagsAndOffset & 0x4000) !== 0;
  header.moreFragments ||= (flagsAndOffset & 0x2000) !== 0;
  header.fragmentOffset ||= (flagsAndOffset & 0x1fff) * 8;
  return header;
}
