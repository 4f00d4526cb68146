import type { MessagePort } from 'node:worker_threads';
import type { Config } from '../config/config.ts';
import type { ErrorCode } from '../config/errors.ts';
import type { AttachmentUrl } from '../config/listen-url.ts';
import type { LeaseChange, LeaseRecord } from '../dhcp/lease-record.ts';
import type { LogFields } from '../env/log.ts';

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

/** What the kernel granted when a tap was opened (TUNSETOFFLOAD). */
export interface TapOffloads {
  readonly checksum: boolean;
  readonly tcpSegmentation: boolean;
  readonly udpSegmentation: boolean;
}

/** A tap device to attach; its descriptor stays open as long as the guest lives. */
export interface TapGuest {
  readonly fd: number;
  readonly name: string;
  readonly offloads: TapOffloads;
}

/** A listening socket that outlived its thread, or one to open. */
export interface ListenRequest {
  readonly url: AttachmentUrl;
  /** The listening descriptor of the thread before, to be taken over; absent for a new one. */
  readonly fd?: number;
}

/** Where a listening attachment really is. */
export interface Listening {
  /** −1 where the engine has no raw descriptor to hand over. */
  readonly fd: number;
  /** TCP: the bound port. Unix: 0. */
  readonly port: number;
}

/** A UDP datagram of a guest to a gateway service, or the answer to one. */
export interface ServiceDatagram {
  readonly service: string;
  readonly guestAddress: number;
  readonly guestPort: number;
  readonly gatewayAddress: number;
  readonly gatewayPort: number;
  readonly bytes: Uint8Array;
}

/** An address that a guest has without asking for it: no one else gets it. */
export interface KeptLease {
  readonly mac: number;
  readonly address: number;
}

export type Request =
  | { readonly type: 'attach-tap'; readonly tap: TapGuest }
  | { readonly type: 'listen'; readonly listen: ListenRequest }
  | { readonly type: 'reserve-leases'; readonly leases: readonly KeptLease[] }
  /** What an earlier thread or process gave. */
  | { readonly type: 'restore-leases'; readonly leases: readonly LeaseRecord[] }
  | { readonly type: 'status' };

/** What each request is answered with. */
export interface Answers {
  readonly 'attach-tap': null;
  readonly listen: Listening;
  readonly 'reserve-leases': null;
  /** The addresses whose leases are in force now: not all that was given fits the configuration, or has not ended since. */
  readonly 'restore-leases': readonly number[];
  readonly status: NetworkStatus;
}

export type ToNetwork =
  | { readonly type: 'request'; readonly id: number; readonly request: Request }
  /** Nothing but a look at the words that both threads see. */
  | { readonly type: 'wake' }
  | { readonly type: 'replies'; readonly replies: readonly ServiceDatagram[] };

export type FromNetwork =
  | { readonly type: 'ready'; readonly wakeDescriptor: number }
  | { readonly type: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly type: 'refusal'; readonly id: number; readonly error: PlainError }
  | { readonly type: 'log'; readonly level: 'info' | 'warn'; readonly message: string; readonly fields?: LogFields }
  /** What happened in one turn, in its order. */
  | { readonly type: 'leases'; readonly changes: readonly LeaseChange[] }
  /** This computer's addresses or routes are others now. */
  | { readonly type: 'network-changed' }
  | { readonly type: 'datagrams'; readonly datagrams: readonly ServiceDatagram[] };

/** An error as it crosses threads: structured clone keeps no class. */
export interface PlainError {
  readonly message: string;
  readonly code?: ErrorCode;
  readonly hint?: string;
}

/** A picture of the network, plain data. */
export interface NetworkStatus {
  readonly guests: readonly GuestStatus[];
  /** In force, in order of address. */
  readonly leases: readonly LeaseStatus[];
  readonly flows: number;
  readonly counters: Readonly<Record<string, number>>;
}

export interface GuestStatus {
  readonly name: string;
  readonly address?: number;
  readonly mac?: number;
}

export interface LeaseStatus {
  readonly address: number;
  readonly mac: number;
  /** What the client calls itself, or what its reservation calls it; '' for neither. */
  readonly name: string;
  /** Infinity (null in JSON) for a lease without end. */
  readonly remainingMs: number;
}
