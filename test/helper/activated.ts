import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { TestNamespace } from '../support/namespace.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** A helper that starts at the first request, on the socket of systemd's own small activator. `ended`: its status. */
export async function activated(
  t: TestContext,
  namespace: TestNamespace,
  confinement: readonly string[],
  args: readonly string[],
): Promise<{ readonly socket: string; readonly ended: Promise<number | null> }> {
  const folder = mkdtempSync(path.join(tmpdir(), 'slipway-activated-'));
  chmodSync(folder, 0o755);
  const socket = path.join(folder, 'helper.sock');
  const watcher = watch(folder);
  const made = once(watcher, 'change');
  const activate = ['systemd-socket-activate', `--listen=${socket}`];
  const program = ['setpriv', ...confinement, process.execPath, MAIN, 'helper', 'serve', ...args];
  const child = spawn('nsenter', [`--net=${namespace.path}`, '--', ...activate, ...program], { stdio: 'ignore' });
  const ended = once(child, 'close');
  t.after(async () => {
    child.kill();
    await ended;
    rmSync(folder, { recursive: true });
  });
  if (!existsSync(socket)) await made;
  watcher.close();
  chmodSync(socket, 0o666);
  return { socket, ended: ended.then(([status]) => status as number | null) };
}
