/**
 * What COMMAND sees of the file tree that is not the host's: its own /etc/resolv.conf, the interfaces of its own
 * network namespace under /sys/class/net, its own cgroups and message queues, and no socket of a host resolver that
 * would answer around Slipway's DNS. All of it lives in one private tmpfs of the guest's mount namespace and goes with
 * it; nothing is written to a disk.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { check, declare } from './libc.ts';

const mountCall: (source: string, target: string, type: string, flags: number, data: string) => number = declare(
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
);
const unmountCall: (target: string, flags: number) => number = declare('int umount2(const char *target, int flags)');

const MS_RDONLY = 1;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MS_BIND = 4096;
const MNT_DETACH = 2;

/** Covered by the tmpfs while the mounts are made, and uncovered again: a folder that every Linux has. */
const SCRATCH = '/tmp';
/** The same while COMMAND runs, whose /tmp must stay: an empty folder that Linux keeps for old programs. */
const LATER_SCRATCH = '/proc/tty/ldisc';
const RESOLV_CONF = '/etc/resolv.conf';

/** Where glibc's nscd and systemd-resolved are asked before any nameserver of resolv.conf. */
const HOST_RESOLVER_SOCKETS = ['/run/systemd/resolve/io.systemd.Resolve', '/run/nscd/socket', '/var/run/nscd/socket'];

/** The subtrees of sysfs that show the interfaces of one network namespace. */
const SYSFS_NETWORK = ['class/net', 'devices/virtual/net'];

/** Which file a path leads to (device and inode); '' for none. */
type FileId = string;

/** After a failed attempt: the change that comes next may be in a folder that nobody watches yet. */
const RETRY_MS = 250;

/**
 * Makes the guest's own view and returns which file its resolv.conf is. The mounts of this process must be private
 * already. Errors: ERR_SYSTEM_CALL.
 */
export function mountGuestView(resolvConf: string): FileId {
  return withScratch(SCRATCH, () => {
    const own = mountResolvConf(resolvConf);
    for (const path of HOST_RESOLVER_SOCKETS) if (existsSync(path)) mount('/dev/null', path, '', MS_BIND, '');
    mountInterfaces();
    mountOwn('/dev/mqueue', 'mqueue', 'mqueue', 0, '');
    mountCgroups();
    return own;
  });
}

/**
 * Mounts the guest's resolv.conf again whenever the host replaces its own by rename or turns a link to it: with the
 * file below, the kernel takes away what is mounted over it, in every namespace (rename(2)). `own` is what
 * `mountGuestView` returned.
 */
export function keepResolvConf(text: string, own: FileId): void {
  const watched = new Set<string>();
  let mounted = own;
  let retry: NodeJS.Timeout | undefined;
  const look = (): void => {
    clearTimeout(retry);
    try {
      const now = fileAt(RESOLV_CONF);
      if (now === '') throw new Error('the file is missing');
      // What was mounted is remembered, not what is there afterwards: the host may have replaced its file meanwhile.
      if (now !== mounted) {
        mounted = withScratch(LATER_SCRATCH, () => bindResolvConf(LATER_SCRATCH, text));
      }
      if (listen()) look();
    } catch {
      // Missing, as it is replaced in two steps, or a link whose target comes later.
      retry = setTimeout(look, RETRY_MS);
    }
  };
  /** True when a folder is heard that was not before: what happened in it until now is to be looked for. */
  const listen = (): boolean => {
    const before = watched.size;
    for (const folder of [dirname(RESOLV_CONF), dirname(realpathSync(RESOLV_CONF))]) {
      if (watched.has(folder)) continue;
      watched.add(folder);
      // COMMAND goes on without it: what fails here concerns only a host whose network changes.
      watch(folder, look).on('error', () => {});
    }
    return watched.size > before;
  };
  look();
}

function fileAt(path: string): FileId {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.dev}/${stat.ino}`;
}

/** Covers a folder with an empty tmpfs while `act` mounts files of it elsewhere; returns what `act` does. */
function withScratch<T>(folder: string, act: () => T): T {
  mount('tmpfs', folder, 'tmpfs', MS_NOSUID | MS_NODEV, 'mode=0755,size=1m');
  try {
    return act();
  } finally {
    check(`unmounting ${folder}`, unmountCall(folder, MNT_DETACH));
  }
}

function bindResolvConf(scratch: string, text: string): FileId {
  const own = `${scratch}/resolv.conf`;
  writeFileSync(own, text);
  const id = fileAt(own);
  mount(own, realpathSync(RESOLV_CONF), '', MS_BIND, '');
  return id;
}

function mountResolvConf(text: string): FileId {
  if (existsSync(RESOLV_CONF)) return bindResolvConf(SCRATCH, text);
  // Missing, or a link to nothing: there is no file to mount over, so /etc gets a layer of its own.
  for (const folder of ['upper', 'work']) mkdirSync(`${SCRATCH}/${folder}`);
  mount('overlay', '/etc', 'overlay', 0, `lowerdir=/etc,upperdir=${SCRATCH}/upper,workdir=${SCRATCH}/work`);
  rmSync(RESOLV_CONF, { force: true });
  writeFileSync(RESOLV_CONF, text);
  return fileAt(RESOLV_CONF);
}

/** Only the two folders: a whole new /sys would hide the cgroups. */
function mountInterfaces(): void {
  const own = mountAside('sysfs', 'sysfs', 0, '');
  if (own === undefined) return;
  for (const folder of SYSFS_NETWORK) {
    if (existsSync(`/sys/${folder}`)) mount(`${own}/${folder}`, `/sys/${folder}`, '', MS_BIND, '');
  }
}

/**
 * Where cgroups are mounted, once more: a file system of cgroups shows the namespace that it is mounted from, and
 * /proc/self/cgroup names what this one shows.
 */
function mountCgroups(): void {
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    // proc(5): … mount point, mount options, optional fields, '-', type, source, options of the file system.
    const [place = '', rest = ''] = line.split(' - ');
    const [type = '', , options = ''] = rest.split(' ');
    if (type !== 'cgroup' && type !== 'cgroup2') continue;
    const [, , , , target = '', mountOptions = ''] = place.split(' ');
    const controllers = options.split(',').filter((option) => !['rw', 'ro'].includes(option));
    const readOnly = mountOptions.split(',').includes('ro') ? MS_RDONLY : 0;
    mountOwn(target, type, type, readOnly, type === 'cgroup' ? controllers.join(',') : '');
  }
}

/** Over the folder, if there is one. */
function mountOwn(target: string, source: string, type: string, flags: number, data: string): void {
  if (!existsSync(target)) return;
  const own = mountAside(source, type, flags, data);
  // A bind: the kernel refuses the same file system twice at one place, be it another part of it.
  if (own !== undefined) mount(own, target, '', MS_BIND, '');
}

/**
 * A file system in a folder of the scratch; undefined where the kernel refuses (nested containers): the host's view
 * stays.
 */
function mountAside(source: string, type: string, flags: number, data: string): string | undefined {
  const own = mkdtempSync(`${SCRATCH}/${type}-`);
  const mounted = mountCall(source, own, type, flags | MS_NOSUID | MS_NODEV | MS_NOEXEC, data) !== -1;
  return mounted ? own : undefined;
}

function mount(source: string, target: string, type: string, flags: number, data: string): void {
  check(`mounting ${source} on ${target}`, mountCall(source, target, type, flags, data));
}
