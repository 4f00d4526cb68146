import type { AttachmentKind } from '../attachment/kinds/kind.ts';
import type { AttachmentUrl } from '../config/listen.ts';
import type { GuestSockets } from '../env/guest-sockets.ts';
import type { AcceptGuest, Host, HostPipe, HostPipeHandler } from '../env/host.ts';
import type { HostListeners } from '../env/host-listener.ts';
import type { GuestSocketDescriptors } from '../host/namespace/namespace-guest.ts';
import type { Offloads } from '../env/offloads.ts';
import type { ToNetwork } from './thread-mail.ts';

/** A listening socket that outlived its thread, or one to open. */
export interface ListenRequest {
  readonly url: AttachmentUrl;
  /** The listening descriptor of the thread before, to be taken over; absent for a new one. */
  readonly fd?: number;
  /** Closes the one that listened for the same URL: its file is gone. Guests that it accepted stay. */
  readonly again?: boolean;
  /**
   * Who connects before this time (milliseconds since the epoch) comes back from an earlier network thread, which heard
   * it.
   */
  readonly heardUntilMs?: number;
}

/** Where a listening attachment really is. */
export interface Listening {
  /** −1 where the engine has no raw descriptor to hand over. */
  readonly fd: number;
  /** TCP: the bound port. Unix: 0. */
  readonly port: number;
}

/** A tap device to attach; its descriptor stays open as long as the guest lives. */
export interface TapGuest {
  readonly fd: number;
  readonly name: string;
  /** What the kernel granted when the tap was opened (TUNSETOFFLOAD). */
  readonly offloads: Offloads;
  /** What sees and makes sockets of the guest's own network, kept as long as the tap. */
  readonly sockets?: GuestSocketDescriptors | undefined;
}

/** A guest that is connected already: one end of a stream pair whose other end speaks QEMU's framing. */
export interface StreamGuest {
  /** The network thread's from the request on, also when it refuses. */
  readonly fd: number;
  readonly name: string;
}

/** What a loop runs: the network's `Turn`. */
export interface Turning {
  run(nowMs: number): void;
  waitMs(limitMs: number): number;
}

/** As `AcceptGuest`, of a guest on a tap, whose own sockets may be seen. */
export type AcceptTap = (pipe: HostPipe, sockets: GuestSockets | undefined) => HostPipeHandler | undefined;

/** What control sends, as the loop hands it on between turns. */
export interface Inbox {
  /** With undefined when the thread was only woken. */
  receive(mail: ToNetwork | undefined): void;
  /**
   * Requests whose answers are promises. As long as there are any, Node's own loop gets its turn after each of the
   * network's.
   */
  readonly pending: number;
}

/** A host engine together with its loop, as the network thread uses it. */
export interface ThreadEngine {
  readonly host: Host & HostListeners;
  /** Paths of the unix sockets that `Host.dialService` knows by name; may be changed. */
  readonly services: Map<string, string>;
  /** Writing a u64 of 1 to it wakes the loop; −1 where mail alone does that. */
  readonly wakeDescriptor: number;
  /** Opens, adopts or dials. Throws (or rejects with) ERR_LISTEN_IN_USE, ERR_LISTEN_FAILED or ERR_ENGINE_LACKS. */
  listen(request: ListenRequest, kind: AttachmentKind, accept: AcceptGuest): Listening | Promise<Listening>;
  /** Closes what `listen` opened for the URL; guests that it took stay. Nothing is there: no error. */
  unlisten(url: AttachmentUrl): void;
  /** Makes a pipe of a tap's descriptor; `handlerOf` gives who is told. Throws ERR_SYSTEM_CALL. */
  attachTap(tap: TapGuest, handlerOf: AcceptTap): void;
  /**
   * Control handed `fd` over, which it keeps in the table of descriptors meanwhile; called before the engine uses it.
   */
  own(fd: number): void;
  /**
   * Makes a pipe of a connected stream socket, which it owns, also when it throws; `accept` gives who is told. Throws
   * ERR_SYSTEM_CALL.
   */
  attachStream(fd: number, accept: AcceptGuest): void;
  /** `tell` hears between turns that this computer's addresses or routes changed, where the engine can know it. */
  onNetworkChange(tell: () => void): void;
  /** Turns until asked to stop and hands out what control sends between turns. Rejects with what a turn throws. */
  run(turn: Turning, inbox: Inbox): Promise<void>;
}
