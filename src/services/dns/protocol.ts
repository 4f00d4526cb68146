/** Numbers of the DNS that more than one part of the servers needs. */

/** Extended errors (RFC 8914 §4), by their names in the registry. */
export const EDE_OTHER = 0;
export const EDE_STALE_ANSWER = 3;
export const EDE_FILTERED = 17;
export const EDE_STALE_NXDOMAIN_ANSWER = 19;
export const EDE_NO_REACHABLE_AUTHORITY = 22;
export const EDE_NETWORK_ERROR = 23;
