/**
 * What COMMAND sees of the file tree that is not the host's: its own /etc/resolv.conf, the interfaces of its own network
 * namespace under /sys/class/net, and no socket of a host resolver that would answer around Slipway's DNS. All of it lives
 * in one private tmpfs of the guest's mount namespace and goes with it; nothing is written to a disk.
 */
import { existsSync, mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { check, declare } from './libc.ts';

const mountCall: (source: string, target: string, type: string, flags: number, data: string) => number = declare(
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
);
const unmountCall: (target: string, flags: number) => number = declare('int umount2(const char *target, int flags)');

const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MS_BIND = 4096;
const MNT_DETACH = 2;

/** Covered by the tmpfs while the mounts are made, and uncovered again: a folder that every Linux has. */
const SCRATCH = '/tmp';
const RESOLV_CONF = '/etc/resolv.conf';

/** Where glibc's nscd and systemd-resolved are asked before any nameserver of resolv.conf. */
const HOST_RESOLVER_SOCKETS = ['/run/systemd/resolve/io.systemd.Resolve', '/run/nscd/socket', '/var/run/nscd/socket'];

/** The subtrees of sysfs that show the interfaces of one network namespace. */
const SYSFS_NETWORK = ['class/net', 'devices/virtual/net'];

/** Makes the guest's own view. The mounts of this process must be private already. Errors: ERR_SYSTEM_CALL. */
export function mountGuestView(resolvConf: string): void {
  mount('tmpfs', SCRATCH, 'tmpfs', MS_NOSUID | MS_NODEV, 'mode=0755,size=1m');
  try {
    mountResolvConf(resolvConf);
    for (const path of HOST_RESOLVER_SOCKETS) if (existsSync(path)) mount('/dev/null', path, '', MS_BIND, '');
    mountInterfaces();
  } finally {
    check(`unmounting ${SCRATCH}`, unmountCall(SCRATCH, MNT_DETACH));
  }
}

function mountResolvConf(text: string): void {
  const own = `${SCRATCH}/resolv.conf`;
  writeFileSync(own, text);
  if (existsSync(RESOLV_CONF)) {
    mount(own, realpathSync(RESOLV_CONF), '', MS_BIND, '');
    return;
  }
  // Missing, or a link to nothing: there is no file to mount over, so /etc gets a layer of its own.
  for (const folder of ['upper', 'work']) mkdirSync(`${SCRATCH}/${folder}`);
  mount('overlay', '/etc', 'overlay', 0, `lowerdir=/etc,upperdir=${SCRATCH}/upper,workdir=${SCRATCH}/work`);
  rmSync(RESOLV_CONF, { force: true });
  writeFileSync(RESOLV_CONF, text);
}

/** Only the two folders: a whole new /sys would hide the cgroups. Where the kernel refuses (nested containers), the host's view stays. */
function mountInterfaces(): void {
  const own = `${SCRATCH}/sys`;
  mkdirSync(own);
  if (mountCall('sysfs', own, 'sysfs', MS_NOSUID | MS_NODEV | MS_NOEXEC, '') === -1) return;
  for (const folder of SYSFS_NETWORK) {
    if (existsSync(`/sys/${folder}`)) mount(`${own}/${folder}`, `/sys/${folder}`, '', MS_BIND, '');
  }
}

function mount(source: string, target: string, type: string, flags: number, data: string): void {
  check(`mounting ${source} on ${target}`, mountCall(source, target, type, flags, data));
}
