import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { networkNamespace, Program, processTree, runNow } from '../process.ts';
import type { Workshop } from '../programs.ts';
import { type Backend, type Lane, type Setting, startNamespaceLane, withDescriptors } from './backend.ts';

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js');
const GUEST = '192.168.65.3';
const GATEWAY = '192.168.65.1';
const HOST = '192.168.65.254';
const GUEST_START_MS = 10_000;

let sockets = 0;

/** Slipway as built in dist/: `slipway up` for the stream attachment, `slipway run` for the tap. */
export const slipway: Backend = {
  name: 'slipway',
  async start(setting: Setting, workshop: Workshop): Promise<Lane> {
    if (!existsSync(MAIN)) throw new Error('dist/cli/main.js is missing: npm run build');
    return setting.attachment === 'tap' ? await startTap(setting) : await startStream(setting, workshop);
  },
};

function startStream(setting: Setting, workshop: Workshop): Promise<Lane> {
  const socketPath = join(workshop.folder, `slipway-${sockets++}.sock`);
  return startNamespaceLane(
    workshop,
    {
      network: { mtu: setting.mtu, address: GUEST, gateway: GATEWAY },
      host: HOST,
      socketPath,
      argv: (_guest, ports) => [
        ...[process.execPath, MAIN, 'up', '--listen', `qemu+unix://${socketPath}`, '--mtu', `${setting.mtu}`],
        ...['--state', join(workshop.folder, 'state'), '--control', 'none'],
        ...ports.flatMap((port) => ['--publish', `127.0.0.1:${port}:${port}`]),
      ],
    },
    setting,
  );
}

/** The guest is what `slipway run` makes; the load enters the namespace of its command. */
async function startTap(setting: Setting): Promise<Lane> {
  const run = [
    process.execPath,
    MAIN,
    'run',
    '--mtu',
    `${setting.mtu}`,
    '--',
    'sh',
    '-c',
    'echo inside; cat >/dev/null',
  ];
  const program = new Program(withDescriptors(run));
  try {
    await program.line(/^inside$/, GUEST_START_MS);
    const prefix = ['nsenter', `--net=/proc/${guestProcess(program)}/ns/net`, '--'];
    const device = defaultDevice(prefix);
    runNow(...prefix, 'ip', 'link', 'set', device, 'txqueuelen', '20000');
    runNow(...prefix, 'sysctl', '-q', '-w', 'net.ipv4.tcp_congestion_control=cubic');
    return { host: HOST, prefix, pid: program.pid, alive: () => program.running, stop: () => program.stop() };
  } catch (error) {
    await program.stop();
    throw error;
  }
}

/** A descendant that lives in another network namespace than ours. */
function guestProcess(program: Program): number {
  const own = networkNamespace('self');
  const inside = processTree(program.pid).findLast((pid) => ![own, undefined].includes(networkNamespace(pid)));
  if (inside === undefined) throw new Error('slipway run: no process in a network namespace of its own');
  return inside;
}

function defaultDevice(prefix: readonly string[]): string {
  const device = runNow(...prefix, 'ip', '-4', 'route', 'show', 'default').match(/ dev (\S+)/)?.[1];
  if (device === undefined) throw new Error('slipway run: the guest has no default route');
  return device;
}
