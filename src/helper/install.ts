/** Installs and removes the helper's systemd units. Needs root, and prints each step that it takes. */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, rmSync, type Stats, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { SlipwayError } from '../facts/errors.ts';
import { SERVICE_FILE, SOCKET_FILE, serviceUnit, socketUnit, type UnitOptions } from './units.ts';

export const UNIT_FOLDER = '/etc/systemd/system';
/** There when systemd is the init of this computer (sd_booted(3)). */
const SYSTEMD_RUNS = '/run/systemd/system';

/**
 * Writes the units to `folder` and, when it is systemd's own and systemd runs, starts the socket. Tells each step.
 * Errors: ERR_HELPER_INSTALL.
 */
export function installHelper(options: UnitOptions, folder: string, tell: (line: string) => void): void {
  needRoot(folder);
  for (const part of options.program.filter((one) => path.isAbsolute(one))) {
    for (const fault of programFaults(part)) tell(`warning: ${fault}`);
  }
  attempt('writing the units', () => {
    for (const [name, text] of [
      [SERVICE_FILE, serviceUnit(options)],
      [SOCKET_FILE, socketUnit(options)],
    ] as const) {
      writeFileSync(path.join(folder, name), text, { mode: 0o644 });
      tell(`wrote ${path.join(folder, name)}`);
    }
  });
  if (!systemdTakes(folder)) {
    tell(`systemd was not told; once it runs: systemctl enable --now ${SOCKET_FILE}`);
    return;
  }
  systemctl(tell, 'daemon-reload');
  systemctl(tell, 'enable', SOCKET_FILE);
  // A helper that still runs has the old list; the next request starts one with the new.
  systemctl(tell, 'stop', SERVICE_FILE);
  systemctl(tell, 'restart', SOCKET_FILE);
  tell(`the helper listens at ${options.socket}`);
}

/** Stops the helper and removes its units. Errors: ERR_HELPER_INSTALL. */
export function uninstallHelper(folder: string, tell: (line: string) => void): void {
  needRoot(folder);
  const files = [SOCKET_FILE, SERVICE_FILE].map((name) => path.join(folder, name)).filter((file) => existsSync(file));
  if (files.length === 0) {
    tell(`the helper is not installed in ${folder}`);
    return;
  }
  if (systemdTakes(folder)) systemctl(tell, 'disable', '--now', SOCKET_FILE, SERVICE_FILE);
  attempt('removing the units', () => {
    for (const file of files) {
      rmSync(file);
      tell(`removed ${file}`);
    }
  });
  if (systemdTakes(folder)) systemctl(tell, 'daemon-reload');
}

/** The unit's PrivateTmp gives the helper others. */
const HIDDEN: readonly string[] = ['/tmp', '/var/tmp'];

/**
 * What makes a program a poor one to run with a privilege: others may change it, or the helper's user cannot run it.
 */
export function programFaults(program: string): string[] {
  const faults: string[] = [];
  for (let at = program; ; at = path.dirname(at)) {
    const found: Stats | undefined = statSync(at, { throwIfNoEntry: false });
    if (found === undefined) return [`${at} does not exist`];
    const sticky = found.isDirectory() && (found.mode & 0o1000) !== 0;
    if (found.uid !== 0) faults.push(`${at} belongs to uid ${found.uid}, who could then bind any privileged port`);
    else if ((found.mode & 0o022) !== 0 && !sticky) faults.push(`${at} can be changed by users other than root`);
    const needed = at === program ? 0o004 : 0o001;
    if ((found.mode & needed) === 0) faults.push(`${at} is closed to the helper's user, so the helper could not start`);
    if (HIDDEN.includes(at)) faults.push(`${at} is hidden from the helper, which has one of its own`);
    if (at === path.dirname(at)) return faults;
  }
}

function needRoot(folder: string): void {
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    throw new SlipwayError(
      'ERR_HELPER_INSTALL',
      `this user may not write to ${folder}`,
      'Run the same command with sudo.',
    );
  }
}

function systemdTakes(folder: string): boolean {
  return folder === UNIT_FOLDER && existsSync(SYSTEMD_RUNS);
}

function systemctl(tell: (line: string) => void, ...args: readonly string[]): void {
  attempt(`systemctl ${args.join(' ')}`, () => {
    execFileSync('systemctl', [...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  });
  tell(`systemctl ${args.join(' ')}`);
}

function attempt(what: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    throw new SlipwayError('ERR_HELPER_INSTALL', `${what} failed: ${(error as Error).message.trim()}`, '', {
      cause: error,
    });
  }
}
