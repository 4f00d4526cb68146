import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { resolveConfig } from '../config/config.ts';
import { DEFAULT_RUN_MTU } from '../config/defaults.ts';
import { endOnSignals } from '../control/signals.ts';
import { type RunningNetwork, startNetwork } from '../control/start-network.ts';
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
import { type DemoServers, startDemoServers } from './demo-servers.ts';
import { firstGuestAddress, guestMac, startEmbeddedGuest } from './embedded-guest.ts';
import { quietLog } from './logs.ts';
import { describeError } from './print-error.ts';

export interface DemoFlags {
  readonly json?: boolean;
}

/** The entry beside this file: .ts when run from source, .js when built. */
const GUEST_SCRIPT = fileURLToPath(
  new URL(`./demo-guest${path.extname(fileURLToPath(import.meta.url))}`, import.meta.url),
);

/** `slipway demo`: a network, a guest, a checklist. Returns the status: 1 when a check failed. */
export async function demo(flags: DemoFlags): Promise<number> {
  const json = flags.json === true;
  const begun = performance.now();
  const config = resolveConfig({ network: { mtu: DEFAULT_RUN_MTU } });
  const network = await startNetwork(config, quietLog('warn'), (error) => {
    process.stderr.write(describeError(error));
    process.exit(1);
  });
  endOnSignals(() => network.stop());
  const servers = await startDemoServers();
  try {
    const guest = namespaceGuest(network, servers);
    if (!json) process.stdout.write(heading(network, guest, performance.now() - begun));
    const well = await runChecklist(guest, json ? jsonOutput(process.stdout) : textOutput(process.stdout));
    process.stdout.write(json ? `${JSON.stringify({ event: 'end', ok: well })}\n` : ending(well));
    return well ? 0 : 1;
  } finally {
    servers.close();
    await network.stop();
  }
}

function heading({ config, engine }: RunningNetwork, guest: ChecklistGuest, tookMs: number): string {
  const { subnet, mtu } = config.network;
  return `Network ${formatCidr(subnet)} (MTU ${mtu}, engine ${engine}) stands after ${tookMs.toFixed(0)} ms; the guest is ${guest.kind}.\n`;
}

function ending(well: boolean): string {
  const words = well ? 'All is well.' : 'Something failed.';
  return `${words} Try it yourself:\n  npm start -- bash          a shell whose only network is this one\n  npm start -- curl -sI http://example.org\n`;
}

/** The checks run by a Node process in a namespace; its reports come back over a unix socket in a private folder. */
function namespaceGuest(network: RunningNetwork, servers: DemoServers): ChecklistGuest {
  return {
    kind: 'a network namespace with the kernel’s own TCP',
    run: async (report) => {
      const folder = mkdtempSync(path.join(tmpdir(), 'slipway-demo-'));
      const remove = (): void => rmSync(folder, { recursive: true, force: true });
      process.once('exit', remove);
      const server = createServer((socket) => {
        createInterface({ input: socket }).on('line', (line) => report(JSON.parse(line) as CheckReport));
      });
      try {
        const reportPath = path.join(folder, 'reports.sock');
        server.listen(reportPath);
        await once(server, 'listening');
        const plan = planFor(network, servers, reportPath);
        const env = { ...process.env, SLIPWAY_DEMO_PLAN: JSON.stringify(plan) };
        const guest = await startEmbeddedGuest(network, [process.execPath, GUEST_SCRIPT], {
          forwardSignals: false,
          env,
        });
        await guest.status;
      } finally {
        server.close();
        remove();
        process.off('exit', remove);
      }
    },
  };
}

function planFor({ config }: RunningNetwork, servers: DemoServers, reportPath: string): ChecklistPlan {
  const { close: _, ...ports } = servers;
  const address = firstGuestAddress(config);
  return {
    reportPath,
    gateway: formatIpv4Address(config.network.gateway),
    hostAddress: formatIpv4Address(config.network.hostAddress),
    address: formatIpv4Address(address),
    mac: guestMac(address),
    ...ports,
  };
}
