import type { MessagePort } from 'node:worker_threads';
import type { Config } from '../config/config.ts';
import type { ErrorCode } from '../facts/errors.ts';
import type { ServiceForward } from '../config/forward.ts';
import type { AttachmentUrl } from '../config/listen-url.ts';
import type { LeaseChange, LeaseRecord } from '../dhcp/lease-record.ts';
import type { HostAddress, HostErrorCode } from '../env/host.ts';
import type { LogFields } from '../env/log.ts';
import type { Offloads } from '../env/offloads.ts';
import type { ForwardChange, ForwardReport, ForwardRequest } from '../forward/forward-request.ts';
import type { GuestSocketDescriptors } from '../host/namespace/namespace-guest.ts';
import type { FlowProtocol } from '../flow/protocol.ts';

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

/** A tap device to attach; its descriptor stays open as long as the guest lives. */
export interface TapGuest {
  readonly fd: number;
  readonly name: string;
  /** What the kernel granted when it was opened (TUNSETOFFLOAD). */
  readonly offloads: Offloads;
  /** What sees and makes sockets of the guest's own network, kept as long as the tap. */
  readonly sockets?: GuestSocketDescriptors | undefined;
}

/** A guest that is connected already: one end of a stream pair whose other end speaks QEMU's framing. The thread owns `fd`, also when it refuses. */
export interface AdoptedGuest {
  /** The network thread's from the message on. */
  readonly fd: number;
  readonly name: string;
}

/** A listening socket that outlived its thread, or one to open. */
export interface ListenRequest {
  readonly url: AttachmentUrl;
  /** The listening descriptor of the thread before, to be taken over; absent for a new one. */
  readonly fd?: number;
  /** Closes the one that listened for the same URL: its file is gone. Guests that it accepted stay. */
  readonly again?: boolean;
  /** Who connects before this time (milliseconds since the epoch) comes back from an earlier network thread, which heard it. */
  readonly heardUntilMs?: number;
}

/** Where this process listens itself, and no guest is to get. */
export type OwnPlace =
  | { readonly kind: 'unix'; readonly path: string }
  | {
      readonly kind: 'port';
      readonly protocol: FlowProtocol;
      /** EVERY_ADDRESS for a listener without one. */
      readonly address: HostAddress;
      readonly port: number;
    };

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
  /** Who the guest is, whatever addresses it gives itself (`Port.attachment`). */
  readonly attachment: string;
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

/** One end of a pair of connected stream sockets, and the guest's port that it becomes a connection to. The thread owns `fd`, also when it refuses. */
export interface GuestStreamRequest {
  /** Owned by the network from the request on, also when it is refused. */
  readonly fd: number;
  /** IPv4; 0: the first guest. */
  readonly address: number;
  readonly port: number;
}

/** Which flow is meant. */
export interface FlowName {
  /** 'tcp' unless told. Of UDP only the guest's end is looked at: one mapping serves all that a guest's port speaks to. */
  readonly protocol?: 'tcp' | 'udp';
  readonly guestAddress: number;
  readonly guestPort: number;
  readonly remoteAddress: number;
  readonly remotePort: number;
}

/** A flow as people see it. */
export interface FlowStatus extends FlowName {
  readonly protocol: 'tcp' | 'udp';
  /** Who began: the guest, or a client on the host's side (a forward). */
  readonly openedBy: 'guest' | 'host';
  /** As the guest knows its peer; of UDP the address spoken to last (0 for none), port 0. */
  readonly remoteAddress: number;
  readonly remotePort: number;
  /** TCP: RFC 9293's word, SYN-HELD or DRAINING. UDP: answered or unanswered. */
  readonly state: string;
  readonly bytesFromGuest: number;
  readonly bytesToGuest: number;
}

export type Request =
  | { readonly type: 'attach-tap'; readonly tap: TapGuest }
  | { readonly type: 'listen'; readonly listen: ListenRequest }
  /** Beside the attachments, which the thread opens itself. */
  | { readonly type: 'own-listeners'; readonly places: readonly OwnPlace[] }
  | { readonly type: 'reserve-leases'; readonly leases: readonly KeptLease[] }
  /** What an earlier thread or process gave. */
  | { readonly type: 'restore-leases'; readonly leases: readonly LeaseRecord[] }
  /** Begins to listen on bound sockets, which are the network's from here on. Refused with `errno` when the engine cannot. */
  | { readonly type: 'forward-open'; readonly forward: ForwardRequest }
  /** Established connections live on unless `connections`. An id that is not open is no error. */
  | { readonly type: 'forward-close'; readonly id: number; readonly connections: boolean }
  | { readonly type: 'forward-list' }
  /** Answered when the guest accepted; else refused with ERR_GUEST_REFUSED, ERR_GUEST_UNREACHABLE or ERR_GUEST_TIMEOUT. */
  | { readonly type: 'guest-stream'; readonly stream: GuestStreamRequest }
  | { readonly type: 'adopt-guest'; readonly guest: AdoptedGuest }
  /** All gateway ports and virtual addresses from now on. */
  | { readonly type: 'services'; readonly services: readonly ServiceForward[] }
  | { readonly type: 'flows'; readonly limit: number }
  /** Ends it with a reset on both sides. */
  | { readonly type: 'flow-kill'; readonly flow: FlowName }
  | { readonly type: 'status' };

/** What each request is answered with. */
export interface Answers {
  readonly 'attach-tap': null;
  readonly listen: Listening;
  readonly 'own-listeners': null;
  readonly 'reserve-leases': null;
  /** The addresses whose leases are in force now: not all that was given fits the configuration, or has not ended since. */
  readonly 'restore-leases': readonly number[];
  /** How it stands; 'forward-state' tells what changes. */
  readonly 'forward-open': ForwardReport;
  readonly 'forward-close': null;
  /** In order of id. */
  readonly 'forward-list': readonly ForwardReport[];
  readonly 'guest-stream': null;
  readonly 'adopt-guest': null;
  readonly services: null;
  /** TCP first, then UDP. */
  readonly flows: readonly FlowStatus[];
  /** Whether there was such a flow. */
  readonly 'flow-kill': boolean;
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
  | {
      readonly type: 'log';
      readonly level: 'debug' | 'info' | 'warn';
      readonly message: string;
      readonly fields?: LogFields;
    }
  /** What happened in one turn, in its order. */
  | { readonly type: 'leases'; readonly changes: readonly LeaseChange[] }
  /** Forwards whose guest came, went or changed its mind in one turn, after 'forward-open' told how they stood. */
  | { readonly type: 'forward-state'; readonly changes: readonly ForwardChange[] }
  /** This computer's addresses or routes are others now. */
  | { readonly type: 'network-changed' }
  | { readonly type: 'datagrams'; readonly datagrams: readonly ServiceDatagram[] };

/** An error as it crosses threads: structured clone keeps no class. */
export interface PlainError {
  readonly message: string;
  readonly code?: ErrorCode;
  readonly hint?: string;
  /** What the host said to 'forward-open'. */
  readonly errno?: HostErrorCode;
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
