import type { MessagePort } from 'node:worker_threads';
import type { Config } from '../config/config.ts';
import type { LeaseChange } from '../dhcp/lease-record.ts';
import type { LogFields } from '../env/log.ts';
import type { ErrorCode } from '../facts/errors.ts';
import type { ForwardChange } from '../forward/forward-request.ts';

/** Requests in one mail, which the network does between two turns: about 5 ms. */
export const REQUESTS_PER_MAIL = 64;

/** What the network thread is born with. */
export interface ThreadData {
  readonly port: MessagePort;
  readonly config: Config;
  readonly engine: 'epoll' | 'node';
  /** `LoopControl.buffer` */
  readonly loop: SharedArrayBuffer;
  /** `ThreadState.buffer` */
  readonly state: SharedArrayBuffer;
  /** `DescriptorTable.buffer` */
  readonly descriptors: SharedArrayBuffer;
  /** Where gateway services listen: name → path of a unix socket. */
  readonly services: Readonly<Record<string, string>>;
}

/** One of `OPERATIONS` is asked for; answered by an Answer or a Refusal of the same id. */
export interface Request {
  readonly id: number;
  /** What belongs together is known where it is asked (`NetworkThreadHandle.ask`) and done (`Answers`). */
  readonly name: string;
  readonly request: unknown;
}

/** What control sends: requests, all that one tick of its makes in one mail, and events. */
export type ToNetwork =
  | { readonly kind: 'requests'; readonly requests: readonly Request[] }
  | { readonly kind: 'replies'; readonly replies: readonly ServiceDatagram[] }
  /** Nothing but a look at the words that both threads see. */
  | { readonly kind: 'wake' };

export interface Answer {
  readonly kind: 'answer';
  readonly id: number;
  readonly answer: unknown;
}

export interface Refusal {
  readonly kind: 'refusal';
  readonly id: number;
  readonly error: PlainError;
}

/** What the network thread sends. */
export type FromNetwork =
  | { readonly kind: 'answers'; readonly answers: readonly (Answer | Refusal)[] }
  | NetworkEvent
  /** The loop runs. */
  | { readonly kind: 'ready'; readonly wakeDescriptor: number };

/** What the network thread tells without being asked. */
export interface NetworkEvents {
  log(level: 'debug' | 'info' | 'warn', text: string, fields?: LogFields): void;
  /** Guests were given addresses, or gave them back: what happened in one turn, in its order. */
  leases(changes: readonly LeaseChange[]): void;
  /** Forwards whose guest came, went or changed its mind in one turn, after 'openForward' told how they stood. */
  forwards(changes: readonly ForwardChange[]): void;
  /** This computer's addresses or routes are others now. */
  networkChanged(): void;
  /** Guests' datagrams to gateway services. */
  datagrams(datagrams: readonly ServiceDatagram[]): void;
}

/** A call of one of `NetworkEvents`. */
export type NetworkEvent = {
  readonly [N in keyof NetworkEvents]: {
    readonly kind: 'event';
    readonly name: N;
    readonly facts: Parameters<NetworkEvents[N]>;
  };
}[keyof NetworkEvents];

/** A UDP datagram of a guest to a gateway service, or the answer to one. */
export interface ServiceDatagram {
  readonly service: string;
  /** Who the guest is, whatever addresses it gives itself (`Port.attachment`). */
  readonly attachment: string;
  readonly guestAddress: number;
  readonly guestPort: number;
  readonly gatewayAddress: number;
  readonly gatewayPort: number;
  readonly bytes: Uint8Array;
}

/** An error as it crosses threads: structured clone keeps no class. */
export interface PlainError {
  readonly message: string;
  readonly code?: ErrorCode;
  readonly hint?: string;
}
