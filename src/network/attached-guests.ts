import {
  type AttachmentOptions,
  AttachmentSpace,
  DEFAULT_ATTACHMENT_LIMITS,
  MAX_FRAME_BYTES,
} from '../attachment/attachment-space.ts';
import { DatagramAttachment } from '../attachment/datagram.ts';
import type { AttachmentAbilities, AttachmentKind, FrameProtocol } from '../attachment/kinds/kind.ts';
import type { PipeAttachment } from '../attachment/pipe-attachment.ts';
import { QemuStreamAttachment } from '../attachment/qemu-stream.ts';
import { TapAttachment } from '../attachment/tap.ts';
import type { HostPipe, HostPipeHandler } from '../env/host.ts';
import type { Offloads } from '../env/offloads.ts';
import type { Port, PortFacts } from '../link/port.ts';
import type { Switch } from '../link/switch.ts';
import type { Turn } from '../turn/turn.ts';
import type { NetworkOptions, NetworkWorld } from './network-options.ts';

/** An attached guest: tell it what the pipe says, or let it go. */
export interface AttachedGuest extends HostPipeHandler {
  detach(): void;
}

/** Who has to know that a guest is gone. */
export interface GuestEvents {
  /** Its port is off the switch. */
  left(port: Port): void;
}

/** The port of an attachment, which exists before its port does. */
interface Place {
  port: Port | undefined;
}

/** What each protocol's frames become; a kind whose protocol is not here does not compile. */
const MAKERS: Readonly<
  Record<FrameProtocol, (space: AttachmentSpace, options: AttachmentOptions) => PipeAttachment | undefined>
> = {
  'qemu-stream': QemuStreamAttachment.make,
  datagrams: DatagramAttachment.make,
};

/** Guests come to the switch and leave it. */
export class AttachedGuests {
  readonly #world: NetworkWorld;
  readonly #options: NetworkOptions;
  readonly #space: AttachmentSpace;
  readonly #switch: Switch;
  readonly #events: GuestEvents;
  /** Who came by a socket, which more than one program may connect to; the longest attached first. */
  readonly #comers = new Map<Place, PipeAttachment>();

  /** Throws a RangeError when the arena has no room for them. */
  constructor(world: NetworkWorld, options: NetworkOptions, turn: Turn, theSwitch: Switch, events: GuestEvents) {
    this.#world = world;
    this.#options = options;
    this.#space = new AttachmentSpace(world.arena, turn, world.counters, world.log, {
      ...DEFAULT_ATTACHMENT_LIMITS,
      guests: options.limits.guests,
    });
    this.#switch = theSwitch;
    this.#events = events;
  }

  /** A guest that came by an address of that kind. Undefined when there is no room for another (counted, logged). */
  attach(kind: AttachmentKind, pipe: HostPipe, name: string, facts: PortFacts = {}): AttachedGuest | undefined {
    if (!this.#space.hasRoom()) this.#makeRoom(name);
    const place: Place = { port: undefined };
    const attachment = MAKERS[kind.protocol](this.#space, this.#attachmentOptions(name, place, kind));
    if (attachment === undefined) return undefined;
    const guest = this.#join(attachment, pipe, name, place, facts);
    this.#comers.set(place, attachment);
    return guest;
  }

  /**
   * A guest behind a tap device. A namespace may have nothing to say, and its kernel minds no frame: it counts as
   * heard. Undefined when there is no room for another.
   */
  attachTap(pipe: HostPipe, name: string, offloads: Offloads, facts: PortFacts = {}): AttachedGuest | undefined {
    const place: Place = { port: undefined };
    const abilities = { maxFrameBytes: MAX_FRAME_BYTES, offloads };
    const attachment = TapAttachment.make(this.#space, this.#attachmentOptions(name, place, abilities));
    return attachment && this.#join(attachment, pipe, name, place, { ...facts, heard: true });
  }

  #attachmentOptions(
    name: string,
    place: Place,
    { maxFrameBytes, offloads, greeting = '' }: AttachmentAbilities,
  ): AttachmentOptions {
    return {
      name,
      maxFrameBytes,
      offloads,
      greeting,
      mtu: this.#options.mtu,
      onDetach: (reason) => {
        this.#release(place);
        this.#world.log.info('guest detached', { guest: name, reason });
      },
    };
  }

  #join(attachment: PipeAttachment, pipe: HostPipe, name: string, place: Place, facts: PortFacts): AttachedGuest {
    place.port = this.#switch.attach(attachment.outlet, name, facts);
    attachment.start(pipe, place.port);
    this.#world.log.info('guest attached', { guest: name });
    return {
      readable: () => attachment.readable(),
      writable: () => attachment.writable(),
      detach: () => {
        attachment.detach();
        this.#release(place);
      },
    };
  }

  /**
   * A connection that has not sent one frame since it came is not known to be a guest: the longest of them gives up its
   * place, so that nobody turns guests away by holding connections. A machine that has not booted yet connects again.
   */
  #makeRoom(newcomer: string): void {
    for (const [place, attachment] of this.#comers) {
      if (place.port === undefined || place.port.rxFrames > 0) continue;
      this.#world.counters.add('attachment-evicted-silent');
      const guest = attachment.name;
      this.#world.log.warn('a guest that never sent a frame gave up its place', { guest, newcomer });
      attachment.detach();
      this.#release(place);
      return;
    }
  }

  #release(place: Place): void {
    const { port } = place;
    this.#comers.delete(place);
    if (port === undefined) return;
    place.port = undefined;
    this.#switch.detach(port);
    this.#events.left(port);
  }
}
