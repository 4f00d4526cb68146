import type { HostStreamHandler } from '../env/host.ts';

/** Why a guest's port did not take a connection. 'aborted': nobody wanted it any more. */
export type OpenFailure = 'refused' | 'timeout' | 'aborted';

/** Why a connection to a guest cannot even be tried; the last two are counters. */
export type OpenRefusal = 'in-use' | 'tcp-flow-limit' | 'tcp-flow-limit-of-guest';

/** Hears what becomes of a connection that the host side opens to a guest. */
export interface FlowOpener {
  /** The guest accepted. */
  established(): void;
  /** The guest has not answered the SYN in a second, or any that followed it. It is tried on. */
  unanswered(): void;
  /** It came to nothing. The stream was not touched and is the opener's again. Nothing else is called afterwards. */
  notOpened(reason: OpenFailure): void;
  /** The established connection is over and its stream released. */
  ended(): void;
}

/** A connection that the host side opened: the stream's events go to it. */
export interface OpenedFlow extends HostStreamHandler {
  /** Ends it: with a RST on both sides once established, without touching the stream (`notOpened`) before. */
  abort(): void;
}
