import type { GuestSockets } from '../env/guest-sockets.ts';
import type { AcceptGuest, Host, HostPipe, HostPipeHandler } from '../env/host.ts';
import type { Listening, ListenRequest, TapGuest, ToNetwork } from './messages.ts';
import type { HostListeners } from '../env/host-listener.ts';

/** What a loop runs: the network's `Turn`. */
export interface Turning {
  run(nowMs: number): void;
  waitMs(limitMs: number): number;
}

/** As `AcceptGuest`, of a guest on a tap, whose own sockets may be seen. */
export type AcceptTap = (pipe: HostPipe, sockets: GuestSockets | undefined) => HostPipeHandler | undefined;

/** Called with each message of control, and with undefined when the thread was only woken. */
export type ReceiveMessage = (message: ToNetwork | undefined) => void;

/** A host engine together with its loop, as the network thread uses it. */
export interface ThreadEngine {
  readonly host: Host & HostListeners;
  /** Paths of the unix sockets that `Host.dialService` knows by name; may be changed. */
  readonly services: Map<string, string>;
  /** Writing a u64 of 1 to it wakes the loop; −1 where a message alone does that. */
  readonly wakeDescriptor: number;
  /** Opens, adopts or dials. Throws (or rejects with) ERR_LISTEN_IN_USE or ERR_LISTEN_FAILED. */
  listen(request: ListenRequest, accept: AcceptGuest): Listening | Promise<Listening>;
  /** Makes a pipe of a tap's descriptor; `handlerOf` gives who is told. Throws ERR_SYSTEM_CALL. */
  attachTap(tap: TapGuest, handlerOf: AcceptTap): void;
  /** Control handed `fd` over, which it keeps in the table of descriptors meanwhile; called before the engine uses it. */
  taken(fd: number): void;
  /** Makes a pipe of a connected stream socket, which it owns, also when it throws; `accept` gives who is told. Throws ERR_SYSTEM_CALL. */
  adoptGuest(fd: number, accept: AcceptGuest): void;
  /** `tell` hears between turns that this computer's addresses or routes changed, where the engine can know it. */
  onNetworkChange(tell: () => void): void;
  /** Turns until asked to stop and hands out control's messages between turns. Throws (rejects with) what a turn throws. */
  run(turn: Turning, receive: ReceiveMessage): void | Promise<void>;
}
