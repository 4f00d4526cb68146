import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { resolveConfig } from '../config/config.ts';
import { DEFAULT_RUN_MTU } from '../config/network.ts';
import { DockerEngines } from '../control/docker-engines.ts';
import { stopOnSignals } from '../control/signals.ts';
import { startNetwork } from '../control/start-network.ts';
import { EngineClient } from '../docker/engine/engine-client.ts';
import { type CommandGuest, startCommandGuest } from '../embedding/command-guest.ts';
import { firstGuestAddress } from '../embedding/guest-addresses.ts';
import { SlipwayError } from '../facts/errors.ts';
import { removeCgroup } from '../host/namespace/cgroups.ts';
import { findCommand } from '../host/namespace/command.ts';
import { hasNamespaceCapabilities } from '../host/namespace/diagnose.ts';
import { connectUnix } from '../host/unix-connection.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import { DEMO_NAME, usualDockerSocket } from './control-place.ts';
import { quietLog } from './logs.ts';
import { absolute } from './options.ts';
import { describeError } from './print-error.ts';
import { note, STANDARD_OUTPUT, say } from './say.ts';

export interface DockerDemoFlags {
  readonly socket?: string;
}

/** What dockerd needs of this computer, and Debian's packages that have it. */
const PROGRAMS = { dockerd: 'docker.io', containerd: 'containerd', runc: 'runc', iptables: 'iptables' } as const;
/** How long dockerd may take until it answers: a loaded machine needs seconds. */
const START_MS = 60_000;
const LOOK_MS = 50;
/** How long the engine may take for one answer. */
const ANSWER_MS = 30_000;
/** What of dockerd's log is shown where it does not start. */
const LOG_LINES = 15;
const IMAGE = 'web';
const PAGE = 'It works: this page is served by a container, whose engine has no other network than Slipway.\n';

/**
 * Arguments: where dockerd's log goes, then dockerd with its options. All that it writes is in a /run that nobody else
 * sees and that ends with the guest; /etc/docker is hidden, whose settings are those of another engine.
 */
const ENGINE = `
set -e
exec </dev/null >"$1" 2>&1
shift
mount -t tmpfs -o mode=755 tmpfs /run
if [ -d /etc/docker ]; then mount -t tmpfs tmpfs /etc/docker; fi
exec "$@"
`;

/**
 * `slipway docker demo`: this computer's dockerd in a guest, its API on a socket of the host. Settles when it stands;
 * the process then lives until a signal, or the engine, ends it.
 */
export async function dockerDemo(flags: DockerDemoFlags): Promise<void> {
  checkPrograms();
  const socket = flags.socket === undefined ? usualDockerSocket(DEMO_NAME) : absolute(flags.socket);
  const config = resolveConfig({ network: { mtu: DEFAULT_RUN_MTU } });
  const log = quietLog('warn');
  const network = await startNetwork(config, log, (error) => {
    note(describeError(error));
    process.exit(1);
  });
  const engines = new DockerEngines({ network, log, usualSocket: socket });
  let engine: DemoEngine | undefined;
  let ended: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    ended ??= (async () => {
      await engines.stop();
      await engine?.end();
      await network.stop();
    })();
    return ended;
  };
  stopOnSignals(stop, { status: 0 });
  try {
    const address = firstGuestAddress(network.config);
    engine = new DemoEngine();
    await engine.start((command) => startCommandGuest(network, address, command, { forwardSignals: false }));
    const hasImage = await importImage(engine);
    await engines.add({
      // The usual place has a folder of our own.
      socket: flags.socket === undefined ? '' : socket,
      engine: engine.socket,
      guest: address,
      bind: 'all',
    });
    say(STANDARD_OUTPUT, words(formatIpv4Address(address), socket, hasImage));
    void engine.exited.then(async () => {
      if (ended !== undefined) return;
      note('slipway: dockerd has ended\n');
      await stop();
      process.exit(1);
    });
  } catch (error) {
    // Ctrl-C meanwhile: what then fails is no news.
    const wasEnding = ended !== undefined;
    await stop();
    if (!wasEnding) throw error;
  }
}

function words(guest: string, socket: string, hasImage: boolean): string {
  const image = hasImage ? IMAGE : 'nginx';
  return `${[
    `dockerd runs in a guest of its own (${guest}), with data that go when it ends. In another terminal:`,
    '',
    `  export DOCKER_HOST=unix://${socket}`,
    `  docker run -d -p 8080:80 ${image}`,
    '  curl localhost:8080',
    '',
    `Or by a context: slipway docker context create --socket ${socket} slipway-demo, docker context use slipway-demo`,
    ...(hasImage ? [] : ['For an image without a registry: sudo apt-get install busybox-static, and start again.']),
    `process ${process.pid}; Ctrl-C ends it, with all its containers`,
  ].join('\n')}\n`;
}

function checkPrograms(): void {
  const missing = Object.entries(PROGRAMS).filter(([program]) => !isInstalled(program));
  if (missing.length > 0) {
    throw new SlipwayError(
      'ERR_DOCKER_MISSING',
      `${missing.map(([program]) => program).join(', ')}: not installed on this computer`,
      `Debian: sudo apt-get install ${missing.map(([, name]) => name).join(' ')}; elsewhere Docker Engine, from https://docs.docker.com/engine/install/.`,
    );
  }
  if (!hasNamespaceCapabilities()) {
    throw new SlipwayError('ERR_DOCKER_FAILED', 'dockerd needs root', 'Run it as root: sudo slipway docker demo.');
  }
}

function isInstalled(program: string): boolean {
  try {
    findCommand(program, searchPath(), '/');
    return true;
  } catch {
    return false;
  }
}

/** Where dockerd looks for its own programs: they stand in /usr/sbin, which a user's PATH may not have. */
function searchPath(): string {
  return `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`;
}

/** dockerd in its guest, and all that it leaves on this computer: a folder and cgroups. */
class DemoEngine {
  /** Below /tmp, as the guest's /run is its own. */
  readonly #folder = mkdtempSync(`/tmp/${nameOf(process.pid)}-`);
  readonly #cgroup = nameOf(process.pid);
  #guest: CommandGuest | undefined;

  /** The engine's own socket. */
  get socket(): string {
    return path.join(this.#folder, 'engine.sock');
  }

  /** Settles when it has ended, by itself or not. */
  get exited(): Promise<unknown> {
    return this.#guest?.status.catch(() => {}) ?? Promise.resolve();
  }

  /** Rejects with ERR_DOCKER_FAILED, and the end of dockerd's log, where it does not come to answer. */
  async start(startGuest: (command: readonly string[]) => Promise<CommandGuest>): Promise<void> {
    await sweep();
    const log = path.join(this.#folder, 'dockerd.log');
    writeFileSync(log, '');
    const options = ['--data-root', '/run/docker-data', '--cgroup-parent', `/${this.#cgroup}`];
    const dockerd = ['dockerd', '--host', `unix://${this.socket}`, ...options];
    this.#guest = await startGuest(['env', `PATH=${searchPath()}`, 'sh', '-c', ENGINE, 'sh', log, ...dockerd]);
    let ended = false;
    void this.exited.then(() => {
      ended = true;
    });
    for (const late = performance.now() + START_MS; !(await this.#answers()); ) {
      if (!ended && performance.now() < late) {
        await delay(LOOK_MS);
        continue;
      }
      const said = readFileSync(log, 'utf8').trimEnd().split('\n').slice(-LOG_LINES).join('\n  ');
      throw new SlipwayError(
        'ERR_DOCKER_FAILED',
        ended ? `dockerd ended before it answered:\n  ${said}` : `dockerd does not answer:\n  ${said}`,
      );
    }
  }

  /** Ends all processes of the guest at once, and removes what is left of them. Never rejects. */
  async end(): Promise<void> {
    this.#guest?.kill('SIGKILL');
    await this.exited;
    await removeCgroup(this.#cgroup).catch((error: Error) => {
      note(`slipway: the cgroup ${this.#cgroup} stays: ${error.message}\n`);
    });
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #answers(): Promise<boolean> {
    try {
      await new EngineClient(() => connectUnix(this.socket), ANSWER_MS).get('/version');
      return true;
    } catch {
      return false;
    }
  }
}

/** What a demo leaves on this computer has its process's number in its name. */
function nameOf(pid: number): string {
  return `slipway-docker-${pid}`;
}

/** Removes what demos left that were killed: their guests went with them. What cannot be removed stays. */
async function sweep(): Promise<void> {
  for (const name of readdirSync('/tmp')) {
    const pid = Number(/^slipway-docker-(\d+)-/.exec(name)?.[1]);
    const folder = path.join('/tmp', name);
    // Anybody may make a folder of that name.
    if (Number.isNaN(pid) || existsSync(`/proc/${pid}`)) continue;
    if (lstatSync(folder, { throwIfNoEntry: false })?.uid !== process.getuid?.()) continue;
    await removeCgroup(nameOf(pid)).catch(() => {});
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Gives the engine an image that serves a page at port 80, without a registry: busybox alone. False where this computer
 * has none that needs no libraries.
 */
async function importImage({ socket }: DemoEngine): Promise<boolean> {
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find(isStatic);
  if (busybox === undefined) return false;
  const folder = mkdtempSync('/tmp/slipway-image-');
  try {
    for (const name of ['bin', 'tmp', 'etc', 'www']) mkdirSync(path.join(folder, name));
    writeFileSync(path.join(folder, 'bin/busybox'), readFileSync(busybox), { mode: 0o755 });
    for (const name of ['sh', 'ls', 'cat', 'ps', 'wget', 'ping', 'nslookup', 'httpd', 'sleep', 'ip']) {
      symlinkSync('busybox', path.join(folder, 'bin', name));
    }
    writeFileSync(path.join(folder, 'www/index.html'), PAGE);
    const archive = execFileSync('tar', ['--create', '--directory', folder, '.'], { maxBuffer: 64 * 1024 * 1024 });
    const changes = ['CMD ["/bin/httpd","-f","-p","80","-h","/www"]', 'EXPOSE 80'];
    const query = new URLSearchParams([
      ['fromSrc', '-'],
      ['repo', IMAGE],
      ['tag', 'latest'],
      ...changes.map((change): [string, string] => ['changes', change]),
    ]);
    const client = new EngineClient(() => connectUnix(socket), ANSWER_MS);
    await client.post(`/images/create?${query}`, archive, 'application/x-tar');
    return true;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Whether the program is ELF and names no interpreter (PT_INTERP): it then needs no libraries. */
function isStatic(file: string): boolean {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch {
    return false;
  }
  // 64 bits, little-endian: the only ones that Slipway runs on.
  if (bytes.length < 64 || bytes.readUInt32BE(0) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1) return false;
  const [at, size, count] = [Number(bytes.readBigUInt64LE(32)), bytes.readUInt16LE(54), bytes.readUInt16LE(56)];
  const kinds = Array.from({ length: count }, (_, index) => bytes.readUInt32LE(at + index * size));
  return !kinds.includes(3);
}
