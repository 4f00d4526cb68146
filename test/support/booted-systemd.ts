import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Place } from './dns-host.ts';
import { needs, needsRoot } from './needs.ts';

/*
 * A computer of its own that Debian's systemd has booted: process 1 of a process namespace, with a network of nothing
 * but loopback, an own /run, /dev and /etc/systemd, and a cgroup that it takes for the root of all. The rest of the
 * files is this computer's, and read-only; so is what the kernel is set by, which is one for both. Only a journal is
 * started, and no more than what targets and sockets need: the programs that set up a real computer would set up this
 * one.
 *
 * All of it ends with process 1, and that one with the holder's standard input, so with the test, however the test
 * ends. The holder stays for the cgroup, which would be left.
 */

const SYSTEMD = '/usr/lib/systemd/systemd';
const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url));
/**
 * Where the checkout and Node are there: a folder of the test's may be closed to the helper's user, or below the /tmp
 * that units hide.
 */
const INSTALLED = '/run/installed';
const BOOT_LIMIT_MS = 20_000;

/** Of those that Debian brings; all others stay unknown there. */
const UNITS = [
  ...['basic.target', 'sysinit.target', 'sockets.target', 'shutdown.target'],
  ...['systemd-journald.service', 'systemd-journald.socket', 'systemd-journald-dev-log.socket'],
];

/** Arguments: the cgroup's folder, the script of process 1, and its arguments besides. Says which process that is. */
const HOLD = `
set -e
# Wherever else this computer has it: the one tree of version 2.
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "$1"
exec 3<&0
unshare --pid --mount --net --uts --ipc --fork --kill-child -- sh -ec "$2" sh "$1" "$3" "$4" </dev/null 3<&- | {
  # Whoever started this may be gone before it is said.
  trap '' PIPE
  if read -r init; then
    echo "$init" || true
    cat <&3 >/dev/null
    kill -KILL "$init" 2>/dev/null || true
  fi
}
# Nothing is in there any more: the end of process 1 was the last in its namespace.
find "$1" -depth -type d -exec rmdir '{}' ';'
`;

/** Process 1 until it becomes systemd. Arguments: the cgroup's folder, Node, the checkout. */
const BOOT = `
# This /proc is still the one outside, and tells the number of this process there.
read -r init rest </proc/self/stat
echo $$ >"$1/cgroup.procs"

mount -o remount,bind,ro /
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t sysfs -o ro sysfs /sys
for folder in /run /etc/systemd /var/log; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done

mkdir -p ${INSTALLED}/slipway /run/dev/shm /run/units /run/no-generators /etc/systemd/system
touch ${INSTALLED}/node
mount --bind "$2" ${INSTALLED}/node
mount --bind "$3" ${INSTALLED}/slipway
for folder in /tmp /var/tmp; do mount -t tmpfs tmpfs "$folder"; done

# What PrivateDevices= gives a service, it takes from here.
for device in null zero full random urandom tty; do
  touch "/run/dev/$device"
  mount --bind "/dev/$device" "/run/dev/$device"
done
ln -s pts/ptmx /run/dev/ptmx
mount --rbind /run/dev /dev

for unit in ${UNITS.join(' ')}; do cp "/usr/lib/systemd/system/$unit" /run/units; done
printf '[Unit]\\nRequires=basic.target systemd-journald.service\\nAfter=basic.target\\n' >/run/units/default.target
ip link set lo up
echo "$init"
# Whoever is in a container leaves clocks, modules and consoles alone.
export container=slipway SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/units SYSTEMD_GENERATOR_PATH=/run/no-generators
exec unshare --cgroup -- sh -c 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec ${SYSTEMD} --log-target=journal'
`;

/** False (and the test is left out) where no systemd can be booted. */
export function canBootSystemd(t: TestContext): boolean {
  return needsRoot(t) && needs(t, SYSTEMD, 'systemctl', 'journalctl', 'unshare', 'nsenter', 'mount', 'ip');
}

let made = 0;

export class BootedSystemd extends Place {
  override readonly enter: readonly string[];
  /** Slipway's command line as it is installed there. */
  readonly slipway: readonly string[] = [`${INSTALLED}/node`, `${INSTALLED}/slipway/dist/cli/main.js`];
  /** Ends all of it at once. */
  readonly stop: () => Promise<void>;
  readonly #holder: number;
  readonly #init: number;
  readonly #cgroup: string;

  /** Boots it, and returns when its default target is reached. All of it is gone after the test. */
  static async start(t: Pick<TestContext, 'after'>): Promise<BootedSystemd> {
    made++;
    const cgroup = `slipway-${process.pid}-systemd-${made}`;
    const args = [`/sys/fs/cgroup/${cgroup}`, BOOT, process.execPath, CHECKOUT];
    const hold = ['--mount', '--propagation', 'private', '--', 'sh', '-c', HOLD, 'sh', ...args];
    const holder = spawn('unshare', hold, { stdio: 'pipe' });
    let complaint = '';
    holder.stderr.on('data', (bytes) => {
      complaint += String(bytes);
    });
    const stop = async (): Promise<void> => {
      holder.stdin.end();
      if (holder.exitCode === null && holder.signalCode === null) await once(holder, 'close');
      assert.equal(holder.exitCode, 0, complaint);
    };
    t.after(stop);
    const [init] = (await Promise.race([
      once(createInterface({ input: holder.stdout }), 'line'),
      once(holder, 'close').then(() => []),
    ])) as string[];
    assert.ok(init !== undefined, `it did not come to systemd: ${complaint}`);
    const machine = new BootedSystemd(holder.pid!, Number(init), cgroup, stop);
    await machine.#booted();
    return machine;
  }

  private constructor(holder: number, init: number, cgroup: string, stop: () => Promise<void>) {
    super(`systemd ${init}`, `/proc/${init}`);
    this.enter = ['nsenter', `--target=${init}`, '--all', '--'];
    this.stop = stop;
    this.#holder = holder;
    this.#init = init;
    this.#cgroup = cgroup;
  }

  /** A property of a unit, as systemd has it now. */
  async property(unit: string, name: string): Promise<string> {
    return (await this.succeed('systemctl', 'show', '--value', '--property', name, unit)).trim();
  }

  /** /proc/PID/status of the unit's process. */
  async status(unit: string): Promise<string> {
    const pid = await this.property(unit, 'MainPID');
    assert.notEqual(pid, '0', `${unit} has a process`);
    return readFileSync(`/proc/${this.#init}/root/proc/${pid}/status`, 'utf8');
  }

  /** Waits until the unit's journal matches: a line is on its way there after it was written. */
  async logs(unit: string, wanted: RegExp, limitMs = 10_000): Promise<void> {
    const deadline = performance.now() + limitMs;
    for (;;) {
      const said = await this.succeed('journalctl', '--unit', unit, '--output', 'cat');
      if (wanted.test(said)) return;
      assert.ok(performance.now() < deadline, `${wanted} is not in the journal: ${said}`);
    }
  }

  /**
   * Every process that is part of it, the holder's too, with the time of its start: a number alone may be given again.
   */
  get processes(): readonly string[] {
    const [pidHere, mountHere] = [namespaceOf(this.#init, 'pid'), namespaceOf(this.#init, 'mnt')];
    const mountOfHolder = namespaceOf(this.#holder, 'mnt');
    return readdirSync('/proc')
      .map(Number)
      .filter((pid) => {
        const mount = namespaceOf(pid, 'mnt');
        return namespaceOf(pid, 'pid') === pidHere || mount === mountHere || mount === mountOfHolder;
      })
      .map(identified)
      .filter((process) => process !== undefined);
  }

  /** The folder of its cgroup, wherever this process sees it. */
  get cgroups(): readonly string[] {
    return mountsOf(process.pid)
      .filter(({ type }) => type === 'cgroup2')
      .map(({ at }) => join(at, this.#cgroup))
      .filter((folder) => existsSync(folder));
  }

  /** Whether this process sees its /run mounted too. */
  get isMountedHere(): boolean {
    const run = mountsOf(this.#init).findLast(({ at }) => at === '/run');
    return mountsOf(process.pid).some(({ device }) => device === run?.device);
  }

  async #booted(): Promise<void> {
    const deadline = performance.now() + BOOT_LIMIT_MS;
    for (;;) {
      // Nobody can be asked before its socket is there; from then on the answer comes when it has booted.
      const { stdout, stderr } = await this.run('systemctl', 'is-system-running', '--wait');
      if (stdout === 'running\n') return;
      const tooEarly = ['', 'offline', 'unknown'].includes(stdout.trim()) && existsSync(`/proc/${this.#init}`);
      assert.ok(tooEarly && performance.now() < deadline, `systemd did not boot: ${stdout}${stderr}`);
    }
  }
}

/** Those of the processes that still run. */
export function stillRunning(processes: readonly string[]): readonly string[] {
  return processes.filter((process) => identified(Number.parseInt(process, 10)) === process);
}

/** Undefined for a process that is gone. */
function namespaceOf(pid: number, kind: 'mnt' | 'pid'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`);
  } catch {
    return undefined;
  }
}

/** Number and time of start; undefined for a process that is gone. */
function identified(pid: number): string | undefined {
  try {
    // proc_pid_stat(5): field 22; the second one is in parentheses, and may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return `${pid} ${fields[19]}`;
  } catch {
    return undefined;
  }
}

interface Mount {
  readonly device: string;
  readonly at: string;
  readonly type: string;
}

/** proc_pid_mountinfo(5). */
function mountsOf(pid: number): Mount[] {
  const lines = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').trimEnd().split('\n');
  return lines.map((line) => {
    const [, , device = '', , at = ''] = line.split(' ');
    return { device, at, type: / - (\S+) /.exec(line)?.[1] ?? '' };
  });
}
