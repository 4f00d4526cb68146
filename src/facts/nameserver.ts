/** A nameserver of the host or of the configuration. */
export interface Nameserver {
  /** IPv4 or IPv6 as text; IPv6 perhaps with a zone ("fe80::1%eth0"). */
  readonly address: string;
  readonly port: number;
}
