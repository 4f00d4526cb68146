import type { SlipwayError } from '../../facts/errors.ts';
import type { ForwardSpec, ServiceForward } from '../../config/forward.ts';
import type { HostErrorCode } from '../../env/host.ts';
import type { BoundSockets } from '../../env/host-listener.ts';
import type { ForwardReach, ForwardReport, ForwardRequest } from '../../forward/forward-request.ts';

/** What the table of forwards needs of the rest: ports, the network, names, sockets behind an sshd, and a clock. */
export interface ForwardEdges {
  readonly ports: ForwardPorts;
  readonly network: ForwardNetwork;
  /** Addresses that guests have now, by lease or by what they were heard with. */
  readonly guestAddresses: () => Promise<ReadonlySet<number>>;
  readonly names: ServiceNames;
  /** Connects clients of bound sockets to a unix socket in a guest, through the guest's sshd. */
  readonly openSsh: (spec: ForwardSpec, sockets: BoundSockets, reached: RelayReach) => Promise<SocketRelay>;
  readonly log: ForwardLog;
  /** Calls `act` once after `ms`. The function that it returns cancels that. */
  readonly schedule: (ms: number, act: () => void) => () => void;
}

export interface ForwardLog {
  info(message: string): void;
  warn(message: string): void;
}

/** TCP or UDP ports of the host. */
export interface PortRequest {
  readonly protocol: 'tcp' | 'udp';
  /** '': every address. */
  readonly address: string;
  /** Of the first; 0 with a count of 1: the host chooses. */
  readonly port: number;
  readonly count: number;
  readonly ipv4Only: boolean;
  /** A guest asks: nobody looks for who holds a port that is in use, nor for the next free one. */
  readonly terse?: true;
}

/** Bound sockets of this process that do not listen yet. */
export interface OpenPorts {
  readonly sockets: BoundSockets;
  /** Of the first; 0 for a unix socket. */
  readonly boundPort: number;
  readonly descriptors: number;
  /** The engine has taken the sockets over, or has refused them. */
  handedOver?(): void;
  /** Closes sockets that nobody has taken over. */
  close(): void;
  /** Whether the file of a unix socket is still the one that was made; true for ports. Never throws. */
  isThere(): boolean;
  /** Removes the file of a unix socket, if it is still ours. Never throws. */
  removeFile(): void;
}

export interface ForwardPorts {
  /**
   * All or none. Rejects with SlipwayError ERR_PORT_… or ERR_HELPER_…; ERR_PORT_ADDRESS: the address is not there now.
   */
  open(request: PortRequest): Promise<OpenPorts>;
  openUnix(path: string): Promise<OpenPorts>;
  /** The same error, for an engine that binds by itself and reports only an errno. */
  refusal(request: PortRequest | string, errno: HostErrorCode): Promise<SlipwayError>;
}

export interface ForwardNetwork {
  /**
   * Takes the sockets over, whatever happens. Resolves with the state of the forward, or with the host's error word.
   */
  open(forward: ForwardRequest): Promise<ForwardReport | HostErrorCode>;
  close(id: number, connections: boolean): Promise<void>;
  list(): Promise<readonly ForwardReport[]>;
  setServices(services: readonly ServiceForward[]): Promise<void>;
}

/** DNS names of virtual addresses. */
export interface ServiceNames {
  /** Throws SlipwayError ERR_DNS_ZONE. */
  add(name: string, address: number): void;
  remove(name: string): void;
}

/** Is told whether the guest can be reached; `why` is a sentence when it cannot. */
export type RelayReach = (state: ForwardReach, why: string) => void;

/** Relays clients to a guest on the control thread. */
export interface SocketRelay {
  readonly connections: number;
  /** Ends the listener; established connections live on unless `connections`. */
  close(connections: boolean): void;
}
