/**
 * Why a guest's namespaces cannot be made, as the error that a person reads: before the attempt, and after it failed.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { SlipwayError } from '../../facts/errors.ts';
import { readProc } from '../proc/proc.ts';
import { tunError } from './ioctl.ts';

/** Bits of capabilities(7). */
const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;

/** True when this process can make network and mount namespaces without a user namespace. */
export function hasNamespaceCapabilities(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readProc('/proc/self/status'))?.[1] ?? '0';
  const capabilities = BigInt(`0x${effective}`);
  return [CAP_NET_ADMIN, CAP_SYS_ADMIN].every((bit) => ((capabilities >> bit) & 1n) === 1n);
}

/** What a guest gets beyond network, mounts and processes, where the kernel has it and grants any. */
const FURTHER_NAMESPACES = ['uts', 'ipc', 'cgroup'] as const;

/** Those of a guest's namespaces that this kernel lacks or grants nobody: the guest does without. */
export function missingNamespaces(): string[] {
  return FURTHER_NAMESPACES.filter(
    (kind) => !existsSync(`/proc/self/ns/${kind}`) || readProc(`/proc/sys/user/max_${kind}_namespaces`).trim() === '0',
  );
}

/**
 * Throws what would fail anyway, before anything is started. Errors: ERR_TUN_MISSING, ERR_TUN_DENIED,
 * ERR_NAMESPACE_DENIED.
 */
export function checkPrerequisites(privileged: boolean): void {
  if (process.platform !== 'linux') {
    throw new SlipwayError(
      'ERR_NAMESPACE_DENIED',
      `Network namespaces exist only on Linux, and this is ${process.platform}.`,
      'Attach a virtual machine instead: slipway up --listen URL.',
    );
  }
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
  } catch (error) {
    throw tunError((error as NodeJS.ErrnoException).code ?? String(error));
  }
  if (!privileged) checkUserNamespaces();
}

function checkUserNamespaces(): void {
  if (readProc('/proc/sys/user/max_user_namespaces').trim() === '0') {
    throw userNamespaceError('user.max_user_namespaces is 0', 'sudo sysctl -w user.max_user_namespaces=15000');
  }
  if (readProc('/proc/sys/kernel/unprivileged_userns_clone').trim() === '0') {
    throw userNamespaceError(
      'kernel.unprivileged_userns_clone is 0',
      'sudo sysctl -w kernel.unprivileged_userns_clone=1',
    );
  }
}

/** What `said` (the standard error of unshare and init) means; `how` is how they ended, for when they said nothing. */
export function diagnose(said: string, how: string, privileged: boolean): SlipwayError {
  const words = said.trim().split('\n').slice(-5).join(' / ');
  const denied = /Operation not permitted|Permission denied|No space left on device/.test(words);
  if (denied && !privileged) {
    if (readProc('/proc/sys/kernel/apparmor_restrict_unprivileged_userns').trim() === '1') {
      return userNamespaceError(
        `AppArmor restricts them (${words})`,
        'sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0',
      );
    }
    return new SlipwayError(
      'ERR_NAMESPACE_DENIED',
      `The kernel does not let this user make a user namespace with its own network: ${words}.`,
      'Run Slipway as root. In a container: start it with --privileged, or with a seccomp profile that allows unshare and mount.',
    );
  }
  if (denied) {
    return new SlipwayError(
      'ERR_NAMESPACE_DENIED',
      `The kernel does not let this process make namespaces: ${words}.`,
      'In a container: start it with --privileged.',
    );
  }
  return new SlipwayError('ERR_NAMESPACE_SETUP', `The namespace of the guest could not be set up: ${words || how}.`);
}

function userNamespaceError(why: string, command: string): SlipwayError {
  return new SlipwayError(
    'ERR_NAMESPACE_DENIED',
    `This user may not make user namespaces: ${why}.`,
    `Allow them with: ${command} (or run Slipway as root).`,
  );
}
