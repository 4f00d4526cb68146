/**
 * A record, with the keys that docs/configuration.md lists for its type: `{ name: 'db', type: 'A', address:
 * '192.168.65.254' }`.
 */
export interface RecordInput {
  /** Below the zone; "@" is the zone itself, "*" every name that has no records. */
  readonly name: string;
  readonly type: 'A' | 'AAAA' | 'CNAME' | 'NS' | 'PTR' | 'TXT' | 'SRV' | 'MX';
  readonly ttlSeconds?: number;
  readonly address?: string;
  readonly target?: string;
  readonly text?: string | readonly string[];
  readonly priority?: number;
  readonly weight?: number;
  readonly port?: number;
  readonly preference?: number;
  readonly exchange?: string;
}

/** Names that guests find. */
export interface ZoneInput {
  readonly name: string;
  /** The address of every name in the zone that has no records. */
  readonly defaultAddress?: string;
  /** Whether the zone's own name has that address too. */
  readonly defaultAtApex?: boolean;
  readonly ttlSeconds?: number;
  readonly records?: readonly RecordInput[];
}

/** What a forward may say beside its two ends, as docs/configuration.md explains. */
export interface ForwardOptions {
  readonly source?: 'client' | 'gateway';
  /** Whether a PROXY header names the client to the guest. */
  readonly proxy?: 'none' | 'v1' | 'v2';
  /** How long a client waits for its guest. */
  readonly waitSeconds?: number;
  readonly ipv4Only?: boolean;
  /** Comes back after a restart; needs `state`. */
  readonly persistent?: boolean;
}

/** A forward: ports as `docker run -p` has them, or its two ends. */
export type ForwardInput = ForwardOptions &
  (
    | {
        /** "8080:80", "127.0.0.1:8000-8010:8000-8010/udp" */
        readonly publish: string;
        /** The guest; the first one unless told. */
        readonly guestAddress?: string;
        /** The path of a socket, in the place of the host's port. */
        readonly unixSocket?: string;
      }
    | {
        /** "127.0.0.1:8080", "*:8000-8100", or the path of a unix socket. */
        readonly host: string;
        /** "80", "192.168.65.3:80" */
        readonly guest: string;
        readonly protocol?: 'tcp' | 'udp';
      }
    | {
        /** The path of a unix socket. */
        readonly host: string;
        /** A socket of the guest behind its sshd. */
        readonly ssh: {
          readonly user: string;
          readonly path: string;
          readonly keyFile: string;
          readonly address?: string;
          readonly port?: number;
          readonly passphrase?: string;
        };
      }
  );

/** A service of this computer that guests reach. */
export interface ServiceInput {
  readonly protocol?: 'tcp' | 'udp';
  /** The gateway unless told. */
  readonly address?: string;
  /** Every port of the address unless told. */
  readonly port?: number;
  /** "127.0.0.1:5432", "127.0.0.1", "unix:/run/db.sock" */
  readonly target: string;
  /** A name for an address of its own. */
  readonly name?: string;
}

/** A tap device. */
export interface TapInput {
  readonly fd: number;
  /** For people. */
  readonly name?: string;
  /** What the kernel granted by TUNSETOFFLOAD; nothing unless told. */
  readonly offloads?: {
    readonly checksum: boolean;
    readonly tcpSegmentation: boolean;
    readonly udpSegmentation: boolean;
  };
}
