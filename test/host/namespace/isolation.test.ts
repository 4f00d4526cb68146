import assert from 'node:assert/strict';
import { readlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { needs } from '../../support/needs.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { asOrdinaryUser, canRunGuests, finished, runGuestCommand, start, startGuest } from './guest.ts';

const TIMEOUT = { timeout: 30_000 };
const KINDS = ['net', 'mnt', 'pid', 'uts', 'ipc', 'cgroup'] as const;
const PRINT = `readlink ${KINDS.map((kind) => `/proc/self/ns/${kind}`).join(' ')}`;

/** As root, and as an ordinary user. */
function asEither(script: string): string[][] {
  return [runGuestCommand(['sh', '-c', script]), asOrdinaryUser('666', ['sh', '-c', script])];
}

function own(): string[] {
  return KINDS.map((kind) => readlinkSync(`/proc/self/ns/${kind}`));
}

test('COMMAND shares none of its six kinds of namespaces with this computer', TIMEOUT, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'setpriv')) return;
  for (const argv of asEither(PRINT)) {
    const end = await finished(start(t, argv));
    const inside = end.out.trim().split('\n');
    assert.equal(inside.length, KINDS.length, end.error);
    for (const [i, name] of own().entries()) assert.notEqual(inside[i], name);
  }
});

test('a name that COMMAND gives the computer is its own', TIMEOUT, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'setpriv', 'hostname')) return;
  const before = hostname();
  const script = 'hostname renamed-inside; echo other > /proc/sys/kernel/domainname; hostname';
  for (const argv of asEither(script)) {
    const end = await finished(start(t, argv));
    assert.equal(end.out, 'renamed-inside\n', end.error);
    assert.equal(hostname(), before);
  }
});

test('System V shared memory and message queues of this computer are not COMMAND’s', TIMEOUT, async (t) => {
  if (!canRunGuests(t) || !needs(t, 'ipcmk', 'ipcs', 'ipcrm')) return;
  const made = await finished(start(t, ['sh', '-c', 'cat > /dev/null; ipcmk -M 4096']));
  const id = /(\d+)\s*$/.exec(made.out)?.[1] ?? '';
  try {
    const end = await finished(startGuest(t, ['sh', '-c', `ipcs -m | grep -c " ${id} "; ipcrm -m ${id}; true`]));
    assert.equal(end.out, '0\n', end.error);
    const after = await finished(start(t, ['sh', '-c', 'cat > /dev/null; ipcs -m']));
    assert.match(after.out, new RegExp(` ${id} `));
  } finally {
    await finished(start(t, ['sh', '-c', `cat > /dev/null; ipcrm -m ${id}`]));
  }
});

test('what /proc/self/cgroup says is what COMMAND finds below /sys/fs/cgroup', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  const script = `
    read -r cgroup < /proc/self/cgroup; echo "\${cgroup##*:}"
    grep -E ' - cgroup2? ' /proc/self/mountinfo | tac | awk '!seen[$5]++ { print $5 }' | while read -r place; do
      grep -qx $$ "$place/cgroup.procs" || echo "not in $place"
    done`;
  const end = await finished(startGuest(t, ['sh', '-c', script]));
  assert.equal(end.out, '/\n', end.error);
});

test('no process of this computer can be signalled', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  const end = await finished(startGuest(t, ['sh', '-c', `kill -0 ${process.pid} && echo reached`]));
  assert.equal(end.out, '');
});

test('where the kernel gives no cgroup namespace COMMAND runs all the same', TIMEOUT, async (t) => {
  if (!canRunGuests(t)) return;
  const zero = join(temporaryFolder('namespace'), 'zero');
  writeFileSync(zero, '0\n');
  const script = `mount --bind ${zero} /proc/sys/user/max_cgroup_namespaces; exec "$@"`;
  const guest = runGuestCommand(['sh', '-c', PRINT]);
  const end = await finished(start(t, ['unshare', '--mount', 'sh', '-c', script, 'sh', ...guest]));
  const inside = end.out.trim().split('\n');
  for (const [i, name] of own().entries())
    assert.equal(inside[i] === name, KINDS[i] === 'cgroup', `${KINDS[i]} ${end.out} ${end.error}`);
});
