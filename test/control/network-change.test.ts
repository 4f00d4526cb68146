import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createNamespace, nsExec } from '../support/namespace.ts';
import { needs, needsRoot } from '../support/needs.ts';

const ENTRY = fileURLToPath(new URL('./process.ts', import.meta.url));

test('control hears that an address came and went, while no guest is there', { timeout: 30_000 }, async (t) => {
  if (!needsRoot(t) || !needs(t, 'ip', 'nsenter', 'sysctl')) return;
  const host = createNamespace(t, 'host');
  nsExec(host, 'sysctl', '-q', '-w', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1');
  nsExec(host, 'ip', 'link', 'add', 'wifi', 'type', 'veth', 'peer', 'name', 'air');
  for (const end of ['wifi', 'air']) nsExec(host, 'ip', 'link', 'set', end, 'up');
  const child = spawn('nsenter', [`--net=${host.path}`, '--', process.execPath, ENTRY, 'epoll'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(async () => {
    const ended = once(child, 'close');
    child.stdin.end();
    await ended;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const hears = async (event: string): Promise<void> => {
    for (;;) {
      const { value, done } = await lines.next();
      assert.ok(done !== true, `it ended before ${event}`);
      if ((JSON.parse(value as string) as { readonly event: string }).event === event) return;
    }
  };
  await hears('up');
  nsExec(host, 'ip', 'address', 'add', '10.66.0.2/24', 'dev', 'wifi');
  await hears('network-changed');
  nsExec(host, 'ip', 'address', 'delete', '10.66.0.2/24', 'dev', 'wifi');
  await hears('network-changed');
});
