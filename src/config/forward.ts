/** What a person, the API or Docker asks for when it publishes a port; plain data, JSON-able. */

/** Forwards of one network. A range is one, and a machine of containers publishes some hundred. */
export const MAX_FORWARDS = 4_096;

/** Where a guest's sshd listens unless told. */
export const SSH_PORT = 22;

export const FORWARD_PROTOCOLS = ['tcp', 'udp', 'unix'] as const;
export type ForwardProtocol = (typeof FORWARD_PROTOCOLS)[number];

/** Which address the guest sees as its peer. */
export const FORWARD_SOURCES = ['client', 'gateway'] as const;
export type ForwardSource = (typeof FORWARD_SOURCES)[number];

export const PROXY_HEADERS = ['none', 'v1', 'v2'] as const;
export type ProxyHeader = (typeof PROXY_HEADERS)[number];

/** For how long a client may be held while its guest does not answer: nobody waits for an hour. */
export const MAX_WAIT_SECONDS = 3_600;

/** Where clients on the host's side come in. */
export type HostEnd =
  | {
      readonly kind: 'port';
      /**
       * '' (or '*' on a command line): every address, IPv4 and IPv6. Else one address as text: '0.0.0.0', '::',
       * '127.0.0.1', '::1', any of the host's.
       */
      readonly address: string;
      /** First port; 0 lets the host choose once (a range of one), the same for IPv4 and IPv6. */
      readonly port: number;
      /** The first free one from `port` to this is chosen (only with a count of 1). */
      readonly lastPort?: number;
    }
  | { readonly kind: 'unix' /** Absolute. */; readonly path: string };

/** What those clients reach. */
export type GuestEnd =
  /** A guest's port; `address` undefined: the only guest (or the first), whichever address it has. */
  | { readonly kind: 'port'; readonly address: number | undefined; readonly port: number }
  /** A guest's unix socket, through its sshd. */
  | {
      readonly kind: 'ssh';
      readonly address: number | undefined;
      readonly port: number;
      readonly user: string;
      /** Of the socket in the guest. */
      readonly path: string;
      /** Private key, a file of the host. */
      readonly keyFile: string;
      readonly passphrase?: string;
    };

/** Who asked for a forward, and may remove it. */
export type ForwardOwner = 'config' | 'cli' | 'api' | 'gvproxy' | 'vpnkit' | 'docker' | `guest ${string}`;

/** One forward from the host to a guest. */
export interface ForwardSpec {
  readonly protocol: ForwardProtocol;
  readonly host: HostEnd;
  readonly guest: GuestEnd;
  /** Consecutive ports on both ends, 1 to 65,535. A range is one forward. */
  readonly count: number;
  /** Only IPv4 where `host.address` is '' (half of the descriptors). */
  readonly ipv4Only: boolean;
  readonly source: ForwardSource;
  readonly proxy: ProxyHeader;
  /** How long a client is held while the guest refuses or does not answer; 0: the client is refused at once. */
  readonly waitSeconds: number;
  /** Comes back after a restart. */
  readonly persistent: boolean;
  readonly owner: ForwardOwner;
}

/** The settings of a forward for which nothing else is given. */
export const FORWARD_DEFAULTS: Pick<ForwardSpec, 'ipv4Only' | 'source' | 'proxy' | 'waitSeconds' | 'persistent'> = {
  ipv4Only: false,
  source: 'client',
  proxy: 'none',
  waitSeconds: 0,
  persistent: false,
};

/** 'waiting': for its guest or its address. 'failed': for another reason; it is tried again. */
export const FORWARD_STATES = ['listening', 'waiting', 'failed'] as const;
export type ForwardState = (typeof FORWARD_STATES)[number];

/**
 * Whether somebody listens at the guest's port. 'unseen': nothing sees the guest's sockets, so a client that it refuses
 * is accepted and reset.
 */
export const GUEST_LISTENS = ['yes', 'no', 'unseen'] as const;

/** A forward and its state. */
export interface ForwardStatus {
  /** `forwardId` of the specification: the key of the table. */
  readonly id: string;
  readonly spec: ForwardSpec;
  readonly state: ForwardState;
  /** A sentence for a person; '' while listening. */
  readonly why: string;
  /** The code of what failed, '' for none. */
  readonly code: string;
  /** IPv4 address of the guest that clients reach; 0 while there is none, and for a guest's socket behind its sshd. */
  readonly reaches: number;
  readonly guestListens: (typeof GUEST_LISTENS)[number];
  /** A sentence for a person about what is not as usual with clients that are served; '' for nothing. */
  readonly note: string;
  /** The bound port of the first of the range; what the host chose for 0. 0 while nothing is bound. */
  readonly boundPort: number;
  /** Open connections (TCP, unix) or clients (UDP). */
  readonly connections: number;
  /** Descriptors that its listeners hold. */
  readonly descriptors: number;
}

/** The other direction: a port at the gateway (or a virtual address) that guests use to reach a service of the host. */
export interface ServiceForward {
  readonly protocol: 'tcp' | 'udp';
  /** The gateway's own address or a virtual one (IPv4). */
  readonly address: number;
  /** 0: every port, which keeps its number at the target. */
  readonly port: number;
  /** `port` 0 keeps the guest's. */
  readonly target:
    | { readonly kind: 'port'; readonly address: number; readonly port: number }
    | { readonly kind: 'unix'; readonly path: string };
  /** A DNS name for a virtual address; '' for none. */
  readonly name: string;
}

/** The identity of a forward: protocol and host end, as `docker run -p` would print it. */
export function forwardId(spec: Pick<ForwardSpec, 'protocol' | 'host' | 'count'>): string {
  if (spec.host.kind === 'unix') return `unix:${spec.host.path}`;
  const { address, port } = spec.host;
  const shown = address.includes(':') ? `[${address}]` : address === '' ? '*' : address;
  return `${spec.protocol}:${shown}:${port}${spec.count > 1 ? `-${port + spec.count - 1}` : ''}`;
}
