/** `slipway helper`: the privileged helper itself, and what installs it. */
import { execFileSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { SlipwayError } from '../facts/errors.ts';
import { stopOnSignals } from '../control/signals.ts';
import { assertConfined } from '../helper/confinement.ts';
import { installHelper, UNIT_FOLDER, uninstallHelper } from '../helper/install.ts';
import { helperListener } from '../helper/listener.ts';
import { Helper } from '../helper/serve.ts';
import {
  launchdPlist,
  PLIST_FILE,
  SERVICE_FILE,
  SOCKET_FILE,
  serviceUnit,
  socketUnit,
  type UnitOptions,
} from '../helper/units.ts';
import { groupId, userId } from '../host/accounts.ts';
import type { SocketFile } from '../host/files/socket-file.ts';
import { SocketWatch } from '../host/files/socket-watch.ts';
import { STANDARD_ERROR, STANDARD_OUTPUT, say } from './say.ts';
import { HELPER_SOCKET } from '../facts/helper-socket.ts';

export interface AllowFlags {
  readonly allowUid?: readonly string[];
  readonly allowGid?: readonly string[];
  readonly allowUser?: readonly string[];
  readonly allowGroup?: readonly string[];
}

export interface ServeFlags extends AllowFlags {
  readonly socket?: string;
  readonly idleExit?: string;
}

export interface InstallFlags extends AllowFlags {
  readonly print?: boolean;
  readonly yes?: boolean;
  readonly platform?: string;
  readonly socket?: string;
  readonly to?: string;
}

const IDS_END = 2 ** 32 - 1;

/** Serves until the process is ended. */
export function helperServe(flags: ServeFlags): void {
  if (process.platform !== 'linux') {
    throw new SlipwayError(
      'ERR_HELPER_UNAVAILABLE',
      'the helper runs only on Linux so far',
      'Publish at ports from 1024 up.',
    );
  }
  assertConfined();
  const allow = allowList(flags);
  const idleMs = 1000 * number('--idle-exit', flags.idleExit ?? '0', 86_400);
  const { fd, file } = helperListener(flags.socket);
  const helper = new Helper(fd, {
    allow: { uids: new Set(allow.uids), gids: new Set(allow.gids) },
    audit: (line) => say(STANDARD_ERROR, `slipway-helper: ${line}\n`),
    idleMs,
  });
  const watched = file === undefined ? undefined : watchSocket(helper, file);
  stopOnSignals(
    async () => {
      watched?.close();
      file?.remove();
    },
    { status: 0 },
  );
  const whom = [...allow.uids.map((uid) => `uid ${uid}`), ...allow.gids.map((gid) => `gid ${gid}`)];
  say(STANDARD_ERROR, `slipway-helper: serving ${whom.join(', ')}\n`);
}

/** What it looks after is a socket of the helper's own making. */
function watchSocket(helper: Helper, file: SocketFile): SocketWatch {
  const watch = new SocketWatch((message) => say(STANDARD_ERROR, `slipway-helper: ${message}\n`));
  watch.add({
    file,
    what: "the helper's socket",
    again: () => {
      helper.listenAt(helperListener(file.path).fd);
      file.claim();
    },
  });
  return watch;
}

/** Prints what would be installed, or installs it. */
export function helperInstall(flags: InstallFlags): void {
  const platform = flags.platform ?? (process.platform === 'darwin' ? 'launchd' : 'systemd');
  if (platform !== 'systemd' && platform !== 'launchd')
    throw usage(`--platform: expected systemd or launchd, found ${platform}`);
  if (flags.print !== true && flags.yes !== true) {
    throw usage('nothing was installed', 'Use --print to see the units, or --yes, as root, to install them.');
  }
  const options: UnitOptions = {
    program: [process.execPath, realpathSync(process.argv[1]!)],
    socket: flags.socket ?? HELPER_SOCKET,
    ...allowList(flags, true),
  };
  if (flags.print === true) {
    print(platform, options);
    return;
  }
  if (platform === 'launchd') {
    throw new SlipwayError(
      'ERR_HELPER_INSTALL',
      'the helper runs only on Linux so far',
      'Publish at ports from 1024 up.',
    );
  }
  installHelper(options, flags.to ?? UNIT_FOLDER, (line) => say(STANDARD_OUTPUT, `${line}\n`));
}

/** Removes what `helperInstall` made. */
export function helperUninstall(flags: Pick<InstallFlags, 'yes' | 'to'>): void {
  if (flags.yes !== true) throw usage('nothing was removed', 'Remove the helper with --yes, as root.');
  uninstallHelper(flags.to ?? UNIT_FOLDER, (line) => say(STANDARD_OUTPUT, `${line}\n`));
}

function print(platform: 'systemd' | 'launchd', options: UnitOptions): void {
  if (platform === 'launchd') {
    say(STANDARD_ERROR, `# /Library/LaunchDaemons/${PLIST_FILE}; the helper itself runs only on Linux so far\n`);
    say(STANDARD_OUTPUT, launchdPlist(options));
    return;
  }
  say(STANDARD_OUTPUT, `# ${UNIT_FOLDER}/${SERVICE_FILE}\n${serviceUnit(options)}\n`);
  say(STANDARD_OUTPUT, `# ${UNIT_FOLDER}/${SOCKET_FILE}\n${socketUnit(options)}`);
}

/** `orCaller`: who runs the command (or ran sudo) when nobody is named. */
function allowList(flags: AllowFlags, orCaller = false): { readonly uids: number[]; readonly gids: number[] } {
  const uids = [
    ...(flags.allowUid ?? []).map((text) => number('--allow-uid', text, IDS_END)),
    ...(flags.allowUser ?? []).map((name) => userId(name) ?? asked('--allow-user', 'passwd', name)),
  ];
  const gids = [
    ...(flags.allowGid ?? []).map((text) => number('--allow-gid', text, IDS_END)),
    ...(flags.allowGroup ?? []).map((name) => groupId(name) ?? asked('--allow-group', 'group', name)),
  ];
  const caller = Number(process.env.SUDO_UID ?? process.getuid?.() ?? 0);
  if (uids.length + gids.length === 0 && orCaller && caller !== 0) uids.push(caller);
  if (uids.length + gids.length > 0) return { uids: [...new Set(uids)], gids: [...new Set(gids)] };
  throw usage(
    'the helper needs to know whom it serves',
    'Name at least one: --allow-user, --allow-uid, --allow-group, --allow-gid.',
  );
}

/** Names that only a directory service knows. */
function asked(flag: string, database: 'passwd' | 'group', name: string): number {
  try {
    const line = execFileSync('getent', [database, '--', name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return number(flag, line.split(':')[2] ?? '', IDS_END);
  } catch {
    throw usage(`${flag}: this computer has no ${database === 'passwd' ? 'user' : 'group'} ${JSON.stringify(name)}`);
  }
}

function number(flag: string, text: string, end: number): number {
  if (/^\d{1,10}$/.test(text) && Number(text) < end) return Number(text);
  throw usage(`${flag}: expected a number below ${end}, found ${JSON.stringify(text)}`);
}

function usage(message: string, hint = 'See slipway helper --help.'): SlipwayError {
  return new SlipwayError('ERR_USAGE', message, hint);
}
