/** What `slipway ports …--help` and `slipway status --help` say beyond the options. */

const STATUSES = `
Exit status: 0 done, 1 the daemon refused (the code says why), 2 usage, 3 nothing is published there, 4 no daemon
answers at the control socket.`;

export const PORTS_HELP: string = `
They ask the running daemon at its control socket: that of this user's "slipway up", or the one that --control names.
${STATUSES}

Examples:
  slipway ports ls
  slipway ports expose 8080:80 127.0.0.1:53:53/udp
  slipway ports expose --guest 192.168.65.4 --persistent 443
  slipway ports expose --unix /run/user/1000/web.sock 80
  slipway ports unexpose 8080 127.0.0.1:53/udp`;

export const EXPOSE_HELP: string = `
PORTS is written as for "docker run -p": [[ADDRESS:]HOSTPORT[-LAST]:]GUESTPORT[-LAST][/tcp|udp]. Without HOSTPORT, or with 0, the
host chooses one, which is printed.
${STATUSES}`;

export const UNEXPOSE_HELP: string = `
A forward is named as "slipway ports ls" shows it: 8080, 8080/udp, 127.0.0.1:8080, [::1]:53/udp, the path of a socket, or its id.
A port alone also names the only forward that has it, at any address.
${STATUSES}`;

export const STATUS_HELP: string = `${STATUSES}

Examples:
  slipway status
  slipway status --json | jq .counters`;
