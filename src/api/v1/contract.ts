import type { ErrorCode } from '../../facts/errors.ts';
import type { ForwardSpec, ForwardStatus } from '../../config/forward.ts';
import type { DescribedMessage } from '../../services/dns/described-message.ts';

/*
 * What the control API says, as JSON. The zod schemas beside the paths are checked against these types by the compiler,
 * so that a client (the command line) needs no zod.
 */

/** Why a request was refused. */
export interface ProblemJson {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
}

/** The daemon and its network. */
export interface StatusJson {
  readonly version: string;
  readonly pid: number;
  readonly engine: 'epoll' | 'node';
  readonly network: {
    readonly subnet: string;
    readonly gateway: string;
    readonly hostAddress: string;
    readonly hostLoopback: boolean;
    readonly mtu: number;
  };
  readonly attachments: readonly string[];
  readonly descriptors: number;
  readonly limits: Readonly<Record<string, number>>;
  readonly gauges: Readonly<Record<string, number>>;
  readonly counters: Readonly<Record<string, number>>;
}

/** An address that a guest was given. */
export interface LeaseJson {
  readonly address: string;
  readonly mac: string;
  readonly name: string;
  /** Null for one that never ends. */
  readonly remainingSeconds: number | null;
}

/** A guest that is attached. */
export interface GuestJson {
  readonly name: string;
  readonly address?: string | undefined;
  readonly mac?: string | undefined;
  readonly leases: readonly LeaseJson[];
}

/** A conversation that crosses the network: a TCP connection, or the UDP of one port of a guest. */
export interface FlowJson {
  /** What DELETE takes. */
  readonly id: string;
  readonly protocol: 'tcp' | 'udp';
  readonly openedBy: 'guest' | 'host';
  readonly guest: string;
  readonly remote: string;
  readonly state: string;
  readonly bytesFromGuest: number;
  readonly bytesToGuest: number;
}

/** A unix socket of a guest, behind its sshd. */
export interface SshJson {
  readonly user: string;
  readonly path: string;
  readonly keyFile: string;
  readonly port: number;
  readonly address?: string | undefined;
}

/** A forward's settings and its state, with the two ends as text. */
export interface ForwardJson extends Omit<ForwardSpec, 'host' | 'guest'>, Omit<ForwardStatus, 'spec' | 'reaches'> {
  /** "*:8080", "127.0.0.1:8000-8100", "[::1]:53", or the path of a unix socket. */
  readonly host: string;
  /** "80", "192.168.65.3:80", "9000-9100"; absent where `ssh` is. */
  readonly guest?: string | undefined;
  readonly ssh?: SshJson | undefined;
  /** The guest's address that clients reach; '' while there is none. */
  readonly reaches: string;
}

/** Something that happened. */
export type EventJson =
  | { readonly type: 'forward'; readonly removed: boolean; readonly forward: ForwardJson }
  | { readonly type: 'lease'; readonly change: 'bound' | 'ended'; readonly lease: LeaseJson }
  | { readonly type: 'guest'; readonly change: 'attached' | 'detached'; readonly name: string; readonly why: string }
  /** The network died, and another takes over: its connections are reset. */
  | { readonly type: 'network'; readonly change: 'died'; readonly why: string }
  | {
      readonly type: 'log';
      readonly level: 'info' | 'warn' | 'error';
      readonly message: string;
      readonly fields: Readonly<Record<string, unknown>>;
    };

/** What guests reach of this computer at the gateway, or at an address of its own. */
export interface ServiceJson {
  /** What DELETE takes. */
  readonly id: string;
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  /** 0: every port, which keeps its number. */
  readonly port: number;
  /** "127.0.0.1:5432", "127.0.0.1", "unix:/run/db.sock". */
  readonly target: string;
  readonly name: string;
}

/** A record of a zone, with the keys that docs/configuration.md lists for its type. */
export type RecordJson = {
  readonly name: string;
  readonly type: string;
  readonly ttlSeconds?: number | undefined;
} & Readonly<Record<string, unknown>>;

/** Names that the internal DNS server answers. */
export interface ZoneJson {
  readonly name: string;
  readonly defaultAddress?: string | undefined;
  readonly defaultAtApex?: boolean | undefined;
  readonly ttlSeconds?: number | undefined;
  readonly records: readonly RecordJson[];
  readonly serial: number;
  readonly builtIn: boolean;
  /** Names that Slipway has there by itself. */
  readonly standing: readonly RecordJson[];
}

/** The answer to a question of DNS. */
export interface LookupJson extends DescribedMessage {
  readonly name: string;
  readonly type: string;
  /** How it came about; only when asked for. */
  readonly steps?: readonly unknown[] | undefined;
  /** The same in words. */
  readonly explanation?: readonly string[] | undefined;
  readonly ms: number;
}
