/** What `slipway dns …--help` says beyond the options; apart from the commands, whose services need not be loaded for it. */

export const LOOKUP_HELP = `
The answer that a guest would get. A running "slipway up" of this user is asked, and the last line says so; else, and with
--config or --control none, a server of this process's own finds it, whose cache is empty. An address without TYPE is looked up
in reverse.

Exit status: 0 there are such records, 3 there are none (NXDOMAIN, NODATA), 4 no good answer (SERVFAIL, REFUSED),
1 and 2 as everywhere (failure, usage).

Examples:
  slipway dns lookup example.org
  slipway dns lookup example.org MX --explain
  slipway dns lookup 192.168.65.254
  slipway dns lookup host.docker.internal AAAA --json`;

export const COREFILE_HELP = `
A CoreDNS with this file does what "slipway guest dns" does: Slipway's own names go to the gateway's port 5301, all
others to its port 53.

Example:
  slipway dns corefile --bind 127.0.0.1 172.18.0.1 > Corefile`;
