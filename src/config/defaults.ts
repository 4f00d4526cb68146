/** What holds when neither the file nor a flag says otherwise. */

export const DEFAULT_SUBNET = '192.168.65.0/24';
/** Ethernet's own: what any guest takes without being told. */
export const DEFAULT_MTU = 1500;
/** `slipway run` has a tap with offloads, where a frame may be as long as an IP packet. */
export const DEFAULT_RUN_MTU = 65520;

/** 65,536 flows: one per port of one guest address towards one service, far above what a machine of containers keeps open. */
export const DEFAULT_FLOWS = 65_536;
/** 1,024 connects at once: more than a browser-like burst, less than a scan needs to hurt the host. */
export const DEFAULT_DIALS_IN_FLIGHT = 1024;
/** 4,096 mappings: each holds a socket; the oldest goes first. */
export const DEFAULT_UDP_MAPPINGS = 4096;
/** 64 guests: each takes 4 MiB of address space for frames that wait. */
export const DEFAULT_GUESTS = 64;

/** 10 s: the host's resolver does not tell a TTL, and a VPN that comes up must show soon. */
export const DEFAULT_DNS_TTL_SECONDS = 10;
/** 256 lookups at once: four times the resolver threads, so a burst queues and a flood is refused. */
export const DEFAULT_DNS_LOOKUPS = 256;
/** Names that mean the host, as Docker, Podman and Lima have them. */
export const DEFAULT_HOST_NAMES: readonly string[] = [
  'host.docker.internal',
  'host.containers.internal',
  'host.lima.internal',
];
export const DEFAULT_GATEWAY_NAMES: readonly string[] = ['gateway.docker.internal'];
