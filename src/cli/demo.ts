import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { isatty } from 'node:tty';
import { fileURLToPath } from 'node:url';
import { resolveConfig } from '../config/config.ts';
import { ENGINES, type EngineChoice } from '../config/engine.ts';
import { DEFAULT_RUN_MTU } from '../config/network.ts';
import { type ErrorCode, SlipwayError } from '../facts/errors.ts';
import { stopOnSignals } from '../control/signals.ts';
import { type RunningNetwork, startNetwork } from '../control/start-network.ts';
import { startCommandGuest } from '../embedding/command-guest.ts';
import { firstGuestAddress, guestMac } from '../embedding/guest-addresses.ts';
import { checkPrerequisites, hasNamespaceCapabilities } from '../host/namespace/diagnose.ts';
import { formatCidr } from '../wire/cidr.ts';
import { formatIpv4Address } from '../wire/ipv4-address.ts';
import {
  type ChecklistGuest,
  type ChecklistPlan,
  type CheckReport,
  jsonOutput,
  runChecklist,
  textOutput,
} from './checklist.ts';
import type { GuestPlan } from './checks.ts';
import { type DemoServers, startDemoServers } from './demo-servers.ts';
import { quietLog } from './logs.ts';
import { describeError } from './print-error.ts';
import { STANDARD_ERROR, STANDARD_OUTPUT, say } from './say.ts';

export interface DemoFlags {
  readonly json?: boolean;
  readonly hostEngine?: string;
}

/** `memory` here takes the guest in memory although a namespace could be made. */
const GUEST_VARIABLE = 'SLIPWAY_DEMO_GUEST';
/** What keeps a machine from having a namespace guest, as opposed to what went wrong with one. */
const NO_NAMESPACE: readonly ErrorCode[] = [
  'ERR_TUN_MISSING',
  'ERR_TUN_DENIED',
  'ERR_NAMESPACE_DENIED',
  'ERR_NAMESPACE_SETUP',
  'ERR_ENGINE_UNAVAILABLE',
];

/** The entry beside this file: .ts when run from source, .js when built. */
const GUEST_SCRIPT = fileURLToPath(
  new URL(`./demo-guest${path.extname(fileURLToPath(import.meta.url))}`, import.meta.url),
);

/** `slipway demo`: a network, a guest, a checklist. Returns the status: 1 when a check failed. */
export async function demo(flags: DemoFlags): Promise<number> {
  const json = flags.json === true;
  const begun = performance.now();
  const config = resolveConfig({ network: { mtu: DEFAULT_RUN_MTU }, engine: engineOf(flags) });
  const network = await startNetwork(config, quietLog('warn'), (error) => {
    say(STANDARD_ERROR, describeError(error));
    process.exit(1);
  });
  stopOnSignals(() => network.stop());
  const servers = await startDemoServers();
  const out = { isTTY: isatty(STANDARD_OUTPUT), write: (text: string): void => say(STANDARD_OUTPUT, text) };
  const output = json ? jsonOutput(out) : textOutput(out);
  let namespaces = true;
  const check = (guest: ChecklistGuest): Promise<boolean> => {
    namespaces = guest.reason === undefined;
    const line = heading(network, guest, performance.now() - begun);
    out.write(json ? `${JSON.stringify({ event: 'guest', kind: guest.kind, reason: guest.reason })}\n` : line);
    return runChecklist(guest, output);
  };
  try {
    const well = await checkOnBestGuest(network, servers, check);
    out.write(json ? `${JSON.stringify({ event: 'end', ok: well })}\n` : ending(well, namespaces));
    return well ? 0 : 1;
  } finally {
    servers.close();
    await network.stop();
  }
}

function engineOf({ hostEngine }: DemoFlags): EngineChoice | undefined {
  const engine = ENGINES.find((name) => name === hostEngine);
  if (hostEngine === undefined || engine !== undefined) return engine;
  throw new SlipwayError('ERR_USAGE', `--host-engine: expected one of ${ENGINES.join(', ')}, found "${hostEngine}"`);
}

/** A namespace where there can be one, else a guest in memory that says why. */
async function checkOnBestGuest(
  network: RunningNetwork,
  servers: DemoServers,
  check: (guest: ChecklistGuest) => Promise<boolean>,
): Promise<boolean> {
  try {
    refuseNamespace(network);
    return await check(namespaceGuest(network, servers));
  } catch (error) {
    if (!(error instanceof SlipwayError) || !NO_NAMESPACE.includes(error.code)) throw error;
    return await check(memoryGuest(network, servers, error));
  }
}

/** Throws the reason why there cannot be a namespace guest. */
function refuseNamespace({ engine }: RunningNetwork): void {
  if (process.env[GUEST_VARIABLE] === 'memory') {
    throw new SlipwayError('ERR_TUN_MISSING', `${GUEST_VARIABLE}=memory selects the other guest.`);
  }
  if (engine === 'node') {
    throw new SlipwayError('ERR_ENGINE_UNAVAILABLE', 'The portable engine (node) has no tap devices.');
  }
  checkPrerequisites(hasNamespaceCapabilities());
}

function heading({ config, engine }: RunningNetwork, guest: ChecklistGuest, tookMs: number): string {
  const { subnet, mtu } = config.network;
  const reason = guest.reason === undefined ? '' : `${guest.reason}\n`;
  return `Network ${formatCidr(subnet)} (MTU ${mtu}, engine ${engine}) is up after ${tookMs.toFixed(0)} ms; the guest is ${guest.kind}.\n${reason}`;
}

function ending(well: boolean, namespaces: boolean): string {
  const words = well ? 'All is well.' : 'Something failed.';
  const hints = namespaces
    ? ['npm start -- bash          a shell whose only network is this one', 'npm start -- curl -sI http://example.org']
    : ['npx slipway up --listen qemu+unix:///tmp/vm.sock          the network for virtual machines'];
  return `${words} Try it yourself:\n${hints.map((hint) => `  ${hint}\n`).join('')}`;
}

/** A guest without a kernel, in this process: it attaches as a virtual machine would. */
function memoryGuest(network: RunningNetwork, servers: DemoServers, why: SlipwayError): ChecklistGuest {
  return {
    kind: 'in memory, with Slipway’s own TCP',
    reason: `No network namespace with a tun device can be made here. ${why.message} ${why.hint}`.trim(),
    run: (report) =>
      inPrivateFolder(async (folder) => {
        const socketPath = path.join(folder, 'guest.sock');
        const text = `qemu+unix://${socketPath}`;
        await network.control.attachments.listen({
          text,
          scheme: 'qemu+unix',
          connect: false,
          target: { kind: 'unix', path: socketPath },
        });
        const plan = planFor(network, servers);
        await network.control.requests.ask('reserveLeases', [
          { mac: plan.mac, address: firstGuestAddress(network.config) },
        ]);
        // Loaded only here: the guest brings the whole core into this process.
        const { checkMemoryGuest } = await import('./checked-memory-guest.ts');
        await checkMemoryGuest(socketPath, network.config.network.mtu, plan, report);
      }),
  };
}

/** The checks run by a Node process in a namespace; its reports come back over a unix socket in a private folder. */
function namespaceGuest(network: RunningNetwork, servers: DemoServers): ChecklistGuest {
  return {
    kind: 'a network namespace with the kernel’s own TCP',
    run: (report) =>
      inPrivateFolder(async (folder) => {
        const server = createServer((socket) => {
          createInterface({ input: socket }).on('line', (line) => report(JSON.parse(line) as CheckReport));
        });
        try {
          const reportPath = path.join(folder, 'reports.sock');
          server.listen(reportPath);
          await once(server, 'listening');
          const plan: ChecklistPlan = { ...planFor(network, servers), reportPath };
          const env = { ...process.env, SLIPWAY_DEMO_PLAN: JSON.stringify(plan) };
          const guest = await startCommandGuest(
            network,
            firstGuestAddress(network.config),
            [process.execPath, GUEST_SCRIPT],
            {
              forwardSignals: false,
              env,
            },
          );
          await guest.status;
        } finally {
          server.close();
        }
      }),
  };
}

/** `work` with a folder that no other user reaches (0700), removed afterwards and at the process's exit. */
async function inPrivateFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'slipway-demo-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  try {
    await work(folder);
  } finally {
    remove();
    process.off('exit', remove);
  }
}

function planFor({ config }: RunningNetwork, servers: DemoServers): GuestPlan {
  const { close: _, ...ports } = servers;
  const address = firstGuestAddress(config);
  return {
    gateway: formatIpv4Address(config.network.gateway),
    hostAddress: formatIpv4Address(config.network.hostAddress),
    address: formatIpv4Address(address),
    mac: guestMac(address),
    ...ports,
  };
}
