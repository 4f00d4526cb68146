/**
 * Runs inside the guest's namespace: the checks of the demo, through the guest's own kernel, reported as JSON lines.
 */
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { connect } from 'node:net';
import { promisify } from 'node:util';
import type { ChecklistPlan } from './checklist.ts';
import { type CheckedGuest, type GuestDatagramSocket, runChecks, type Seen } from './checks.ts';

const kernel: CheckedGuest = {
  openDatagrams,
  leased: () => {},
  lookup: async (name) => (await lookup(name, { family: 4 })).address,
  connect: (port, address) => connect(port, address),
  ping,
};

const plan = JSON.parse(process.env.SLIPWAY_DEMO_PLAN ?? '{}') as ChecklistPlan;
const reports = connect(plan.reportPath);
await once(reports, 'connect');
await runChecks(kernel, plan, (report) => void reports.write(`${JSON.stringify(report)}\n`));
reports.end();
await once(reports, 'close');
process.exit(0);

async function openDatagrams(port: number): Promise<GuestDatagramSocket> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  socket.bind(port);
  await once(socket, 'listening');
  socket.setBroadcast(true);
  return {
    send: (bytes, toPort, address) => socket.send(bytes, toPort, address),
    receive: async () => ((await once(socket, 'message')) as [Uint8Array])[0],
    close: () => socket.close(),
  };
}

async function ping(address: string): Promise<Seen> {
  try {
    const { stdout } = await promisify(execFile)('ping', ['-n', '-c', '3', '-i', '0.2', '-W', '2', address]);
    const average = /= [\d.]+\/([\d.]+)\//.exec(stdout)?.[1];
    return { detail: `${address} answers${average === undefined ? '' : ` in ${average} ms`}` };
  } catch (error) {
    const { code } = error as { code?: number | string };
    if (code === 'ENOENT') return { detail: 'no ping program here (Debian: iputils-ping)', skipped: true };
    throw new Error(`${address} does not answer`);
  }
}
