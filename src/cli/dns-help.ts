/** What `slipway dns … --help` says beyond the options. A file of its own, so that help loads no services. */

export const LOOKUP_HELP = `
Prints the answer that a guest would get. It asks the running "slipway up" of this user, and the last line says so. Without one,
with --config, or with --control none, this process looks the name up itself, with an empty cache. An address without TYPE is
looked up in reverse.

Exit status: 0 records found, 3 no such records (NXDOMAIN, NODATA), 4 no usable answer (SERVFAIL, REFUSED),
1 failure, 2 wrong usage.

Examples:
  slipway dns lookup example.org
  slipway dns lookup example.org MX --explain
  slipway dns lookup 192.168.65.254
  slipway dns lookup host.docker.internal AAAA --json`;

export const COREFILE_HELP = `
Prints a Corefile that makes CoreDNS do what "slipway guest dns" does: Slipway's own names go to the gateway's port 5301, all
other names to its port 53.

Example:
  slipway dns corefile --bind 127.0.0.1 172.18.0.1 > Corefile`;
