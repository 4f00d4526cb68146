import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { removeCgroup } from '../../src/host/namespace/cgroups.ts';
import { type Daemon, Place, serve } from './dns-host.ts';
import { needs } from './needs.ts';

/*
 * A real dockerd in a guest, as the virtual machine has it: docker0, its rules and its proxies stand in the guest's
 * network. All else of Docker's is in namespaces of its own: /run, with sockets and data, is a tmpfs that nobody else
 * sees, and a process namespace holds daemon, containerd, shims and containers. So all of it ends, unmounted and
 * removed, with one process, and that one with the test, however the test ends. Only the cgroups are left, and removed
 * by hand.
 */

type Disposer = Pick<TestContext, 'after'>;

/** Nothing but links: a container's programs are this computer's, from /usr. */
const IMAGE = 'machine';

/**
 * Arguments: the text of /etc/resolv.conf, then dockerd with its options. Ends with its standard input, or with
 * dockerd.
 */
const HOLD = `
set -e
mount -t tmpfs -o mode=755 tmpfs /run
printf %s "$1" > /run/resolv.conf; shift
mount --bind /run/resolv.conf /etc/resolv.conf
# dockerd would leave a key there.
if [ -d /etc/docker ]; then mount -t tmpfs tmpfs /etc/docker; fi
exec 3<&0
cat <&3 & tether=$!
{ "$@"; kill $tether; } 3<&- &
wait $tether
`;

export interface DockerdOptions {
  /** The text of /etc/resolv.conf as dockerd sees it. */
  readonly resolvConf: string;
  /** Options of dockerd besides. */
  readonly args?: readonly string[];
}

/** False (and the test is left out) where no dockerd can run. What the guest needs is another question. */
export function canRunDockerd(t: TestContext): boolean {
  return needs(t, 'dockerd', 'docker', 'containerd', 'runc', 'iptables', 'mount', 'unshare', 'nsenter', 'tar');
}

let made = 0;

export class Dockerd {
  /** The guest's network with Docker's own files: where docker0 is, and where /run/docker.sock is dockerd's. */
  readonly place: Place;
  /** Its files, as the host sees them. */
  readonly root: string;
  readonly #daemon: Daemon;
  /** The procfs of Docker's process namespace, seen from outside. */
  readonly #proc: string;

  /** Starts dockerd in the guest and gives it its image. All of it is gone after the test. */
  static async start(t: Disposer, guest: Place, options: DockerdOptions): Promise<Dockerd> {
    made++;
    const cgroup = `slipway-${process.pid}-${made}`;
    const folder = mkdtempSync(join(tmpdir(), 'slipway-dockerd-'));
    let daemon: Daemon | undefined;
    t.after(async () => {
      await daemon?.stop();
      await removeCgroup(cgroup);
      rmSync(folder, { recursive: true, force: true });
    });
    const hold = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private'];
    const data = ['--data-root', '/run/docker-data', '--storage-driver', 'vfs'];
    daemon = await serve(
      t,
      /API listen on/,
      ...guest.enter,
      ...[...hold, '--', 'sh', '-c', HOLD, 'sh', options.resolvConf],
      ...['dockerd', ...data, '--cgroup-parent', `/${cgroup}`, ...(options.args ?? [])],
    );
    const dockerd = new Dockerd(daemon);
    await dockerd.docker('import', imageArchive(folder), IMAGE);
    return dockerd;
  }

  private constructor(daemon: Daemon) {
    this.#daemon = daemon;
    const [init] = readFileSync(`/proc/${daemon.pid}/task/${daemon.pid}/children`, 'utf8').split(' ');
    this.#proc = `/proc/${init}/root/proc`;
    this.place = new Place(`dockerd ${daemon.pid}`, `/proc/${init}`);
    this.root = `/proc/${init}/root`;
  }

  /** Every line that dockerd has said. */
  get log(): readonly string[] {
    return this.#daemon.said;
  }

  /** The command line of Docker; a failure fails the test. Returns what it printed. */
  docker(...args: readonly string[]): Promise<string> {
    return this.place.succeed('docker', '--host', 'unix:///run/docker.sock', ...args);
  }

  /** Starts a container that stays until it is removed, with `options` of `docker run`. */
  async container(name: string, ...options: readonly string[]): Promise<Place> {
    // No registry is asked.
    const usual = ['--detach', '--pull', 'never', '--volume', '/usr:/usr:ro', '--name', name];
    await this.docker('run', ...usual, '--hostname', name, ...options, IMAGE, 'sleep', 'infinity');
    const pid = await this.docker('inspect', '--format', '{{.State.Pid}}', name);
    return new Place(name, `${this.#proc}/${pid.trim()}`);
  }

  /** Ends dockerd and every container at once. */
  stop(): Promise<void> {
    return this.#daemon.stop();
  }
}

/**
 * Packs the image's files: where programs and their libraries are looked for, all of it below /usr; a place to write.
 */
function imageArchive(folder: string): string {
  const root = join(folder, 'image');
  for (const name of ['usr', 'etc', 'tmp']) mkdirSync(join(root, name), { recursive: true });
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${name}`, join(root, name));
  writeFileSync(join(root, 'etc', 'nsswitch.conf'), 'passwd: files\nhosts: files dns\n');
  const archive = join(folder, 'image.tar');
  execFileSync('tar', ['--create', '--file', archive, '--directory', root, '.']);
  return archive;
}
