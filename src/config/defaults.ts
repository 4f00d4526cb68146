/** What holds when neither the file nor a flag says otherwise. */

export const DEFAULT_SUBNET = '192.168.65.0/24';
/** Ethernet's own: what any guest takes without being told. */
export const DEFAULT_MTU = 1500;
/** `slipway run` has a tap with offloads, where a frame may be as long as an IP packet. */
export const DEFAULT_RUN_MTU = 65520;

/** 65,536 flows: one per port of one guest address towards one service, far above what a machine of containers keeps open. */
export const DEFAULT_FLOWS = 65_536;
/**
 * 8,192 connects at once: a monitor with thousands of dead targets, each of which the host asks for two minutes, still finds
 * those that live; less than a scan needs to hurt the host.
 */
export const DEFAULT_DIALS_IN_FLIGHT = 8192;
/** 4,096 mappings: each holds a socket; the oldest goes first. */
export const DEFAULT_UDP_MAPPINGS = 4096;
/** 64 guests: each takes 4 MiB of address space for frames that wait. */
export const DEFAULT_GUESTS = 64;

/** 10 s: the host's resolver does not tell a TTL, and a VPN that comes up must show soon. */
export const DEFAULT_DNS_TTL_SECONDS = 10;
/**
 * 4,096 lookups at once, about 16 MB at the worst: one guest, which has half of them, may be a thousand containers that ask for A
 * and AAAA at the same moment, or may ask thirty dead names a second, each of which is on its way for 4.5 s.
 */
export const DEFAULT_DNS_LOOKUPS = 4096;
/** 50,000 queries a second of one guest: what two cores answer from the cache; more is a loop in the guest. */
export const DEFAULT_DNS_QUERIES_PER_SECOND = 50_000;
/** 10,000 answers or 16 MiB: a build farm's day of names. */
export const DEFAULT_DNS_CACHE_ENTRIES = 10_000;
export const DEFAULT_DNS_CACHE_MEGABYTES = 16;
/** An hour: a nameserver that is away for longer has taken its names along. */
export const DEFAULT_DNS_STALE_SECONDS = 3_600;

/** A lease lasts a day: guests are few and the pool is theirs. */
export const DEFAULT_LEASE_SECONDS = 86_400;
/** 64 leases behind one attachment: nested guests and bridges, not a flood of made-up MACs. */
export const DEFAULT_LEASES_PER_GUEST = 64;
