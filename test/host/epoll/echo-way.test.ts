import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { needs, needsRoot } from '../../support/needs.ts';

const ECHO = new URL('../../../src/host/epoll/echo.ts', import.meta.url).href;
const PRINT = `import('${ECHO}').then(({ findEchoWay }) => console.log(findEchoWay()))`;
const EVERYONE = '0 2147483647';
const NOBODY = '1 0';
const ORDINARY = 'setpriv --reuid=1000 --regid=1000 --clear-groups';

for (const [who, as, range, way] of [
  ['who is in the range', ORDINARY, EVERYONE, 'ping'],
  ['root outside the range', '', NOBODY, 'raw'],
  ['who is neither', ORDINARY, NOBODY, 'undefined'],
] as const) {
  test(`echo requests of ${who} (net.ipv4.ping_group_range "${range}") go by: ${way}`, (t) => {
    if (!needsRoot(t) || !needs(t, 'unshare', 'setpriv', 'sysctl')) return;
    const script = `sysctl -q -w net.ipv4.ping_group_range="${range}"; exec ${as} "$@"`;
    const command = ['--net', 'sh', '-c', script, 'sh', process.execPath, '-e', PRINT];
    const { stdout, stderr } = spawnSync('unshare', command, { encoding: 'utf8', cwd: '/' });
    assert.equal(stdout, `${way}\n`, stderr);
  });
}
