/**
 * 4,096 persistent forwards: what the whole process pays to add one by the control API, in processor time, and what
 * they add to a start. Counted in nanoseconds that its threads ran, so a busy computer makes it little dearer.
 */
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { cpuSeconds, Program } from './process.ts';
import type { Workshop } from './programs.ts';

/** As many as there may be. */
export const PERSISTENT_FORWARDS = 4096;
const START_MS = 60_000;
/** What Slipway needs per start is noise of some 50 ms: the median of so many. */
const STARTS = 5;
/** What the project demands of itself. */
const DEMANDS = { toAddMs: 1, atStartMs: 1000 } as const;

/** The rows of a Markdown table. `ports` are free at loopback, in a row. */
export async function persistentForwards(workshop: Workshop, main: string, ports: readonly number[]): Promise<string> {
  const socket = join(workshop.folder, 'persistent.sock');
  const start = async (state: string): Promise<Program> => {
    const guests = `qemu+unix://${join(workshop.folder, 'persistent-guests.sock')}`;
    const options = ['--listen', guests, '--control', socket, '--state', join(workshop.folder, state)];
    const up = new Program([process.execPath, main, 'up', ...options, '--json']);
    await up.line(/"event":"up"/, START_MS);
    return up;
  };
  const spent = async (state: string): Promise<number> => {
    const up = await start(state);
    const ms = cpuSeconds(up.pid) * 1000;
    await up.stop();
    return ms;
  };
  const up = await start('many');
  const toAddMs = await toAdd(up.pid, socket, ports);
  await up.stop();
  const added: number[] = [];
  for (let i = 0; i < STARTS; i++) added.push((await spent('many')) - (await spent(`none-${i}`)));
  const atStartMs = added.sort((a, b) => a - b)[STARTS >> 1]!;
  return [
    `\n| ${ports.length} persistent forwards | processor time | demanded |\n|---|---|---|\n`,
    `| to add one | ${toAddMs.toFixed(2)} ms | ${verdict(toAddMs, DEMANDS.toAddMs)} |\n`,
    `| at start, all | ${atStartMs.toFixed(0)} ms | ${verdict(atStartMs, DEMANDS.atStartMs)} |\n`,
  ].join('');
}

/** Milliseconds for each. */
async function toAdd(pid: number, socketPath: string, ports: readonly number[]): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  // The first request loads the API.
  await send({ agent, socketPath, method: 'GET', path: '/v1/status' });
  const before = cpuSeconds(pid);
  for (const [i, port] of ports.entries()) {
    const body = JSON.stringify({ publish: `127.0.0.1:${port}:${i + 1}`, persistent: true });
    const status = await send({ agent, socketPath, method: 'POST', path: '/v1/forwards' }, body);
    if (status !== 201) throw new Error(`a forward was answered with ${status}`);
  }
  agent.destroy();
  return ((cpuSeconds(pid) - before) / ports.length) * 1000;
}

async function send(options: object, body = ''): Promise<number> {
  const asked = request({ ...options, headers: { 'content-type': 'application/json' } });
  asked.end(body);
  const [answer] = await once(asked, 'response');
  answer.resume();
  await once(answer, 'end');
  return answer.statusCode;
}

function verdict(is: number, most: number): string {
  return `${is <= most ? 'met' : 'missed'}: ≤ ${most} ms`;
}
