import type { AttachmentPlace } from '../../env/attachment-place.ts';
import type { Offloads } from '../../env/offloads.ts';

/**
 * What carries frames to this process. Each engine makes it, or says that it cannot (`src/control/*-attachments.ts`).
 */
export type Carrier = 'stream' | 'datagram';

/** How frames lie on the carrier. Each has its attachment (`src/network/attached-guests.ts`). */
export type FrameProtocol = 'qemu-stream' | 'datagrams';

/** What attachments of one kind can carry. */
export interface AttachmentAbilities {
  /** The longest frame that a guest may hand over, whatever the MTU, in bytes. */
  readonly maxFrameBytes: number;
  readonly offloads: Offloads;
  /** Of datagrams: what a guest may say first that is no frame. */
  readonly greeting?: string;
}

/**
 * One way to attach a guest, as data: all that a scheme of `--listen` is, but for what a host engine has to make. The
 * addresses, the engines, the help and the documentation read it. A new one is a file like its neighbours and a line in
 * `kinds.ts`. `Place` is where it can be.
 */
export interface AttachmentKind<Place extends AttachmentPlace = AttachmentPlace> extends AttachmentAbilities {
  /** What an address begins with, before '://'. */
  readonly scheme: string;
  /** An address, as help and errors show it. */
  readonly example: string;
  /** The program that attaches, as the JSON of `slipway up` names it. */
  readonly program: 'qemu' | 'vfkit';
  /** Which versions and relatives of it do, for people. */
  readonly programs: string;
  /** An address may end in ?connect: Slipway dials, and redials, instead of listening. */
  readonly dials: boolean;
  readonly carrier: Carrier;
  readonly protocol: FrameProtocol;
  /** Where `rest`, which follows '://', is; as text, what was expected instead. Never throws. */
  parse(rest: string, connect: boolean): Place | string;
  /** The words that make the program attach at `place`, not quoted for a shell. */
  guestArguments(place: Place, connect: boolean): readonly string[];
}
