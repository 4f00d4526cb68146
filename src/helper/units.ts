/** What starts the helper, as text: units for systemd, a plist for launchd. */

export interface UnitOptions {
  /** The program and its first arguments, absolute: Node and Slipway's command line. */
  readonly program: readonly string[];
  /** Where the helper listens. */
  readonly socket: string;
  readonly uids: readonly number[];
  readonly gids: readonly number[];
}

/** An unused helper costs nothing: it ends after so long, and the next request starts it. */
const IDLE_SECONDS = 60;

export const SERVICE_FILE = 'slipway-helper.service';
export const SOCKET_FILE = 'slipway-helper.socket';
export const PLIST_FILE = 'slipway.helper.plist';

/**
 * The socket unit. If the list is a single group, the file's mode admits only that; else everyone may connect and the
 * helper checks who it is.
 */
export function socketUnit({ socket, uids, gids }: UnitOptions): string {
  const group = uids.length === 0 && gids.length === 1 ? gids[0] : undefined;
  return `[Unit]
Description=Slipway helper: socket for requests for ports below 1024

[Socket]
ListenStream=${escapeUnit(socket)}
# The helper itself asks the kernel who is connected, and refuses and logs whoever is not on its list.
SocketMode=${group === undefined ? '0666' : `0660\nSocketGroup=${group}`}
RemoveOnStop=yes

[Install]
WantedBy=sockets.target
`;
}

/** The service unit: a user of its own, one capability, and access to as little else as systemd can arrange. */
export function serviceUnit(options: UnitOptions): string {
  const { program } = options;
  const home = program.some((part) => /^\/(home|root|run\/user)\//.test(part)) ? 'read-only' : 'yes';
  return `[Unit]
Description=Slipway helper: binds ports below 1024 for the users on its list
Requires=${SOCKET_FILE}
After=${SOCKET_FILE}

[Service]
ExecStart=${helperCommand(options)
    .concat('--idle-exit', String(IDLE_SECONDS))
    .map((part) => `"${escapeUnit(part)}"`)
    .join(' ')}
# The helper looks no name up. Slipway's own 128 threads for that are more than TasksMax, and Node aborts where it gets none.
Environment=UV_THREADPOOL_SIZE=4
DynamicUser=yes
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=${home}
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateDevices=yes
PrivateTmp=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SocketBindDeny=any
SocketBindAllow=tcp:1-1023
SocketBindAllow=udp:1-1023
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources connect
SystemCallErrorNumber=EPERM
UMask=0077
LimitNOFILE=256
TasksMax=64
`;
}

/**
 * For launchd. Its sockets come another way, and macOS has no such capability, so this starts what only Linux can serve
 * yet.
 */
export function launchdPlist(options: UnitOptions): string {
  const args = helperCommand(options).concat('--socket', options.socket);
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>slipway.helper</string>
  <key>ProgramArguments</key>
  <array>
${args.map((part) => `    <string>${escapeXml(part)}</string>\n`).join('')}  </array>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <true/>
  <key>Umask</key>
  <integer>63</integer>
</dict>
</plist>
`;
}

function helperCommand({ program, uids, gids }: UnitOptions): string[] {
  const allowed = [
    ...uids.map((uid) => ['--allow-uid', `${uid}`]),
    ...gids.map((gid) => ['--allow-gid', `${gid}`]),
  ].flat();
  return [...program, 'helper', 'serve', ...allowed];
}

/** systemd.service(5): backslash and quote for quoting, per cent for its specifiers, dollar for variables. */
function escapeUnit(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$');
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
