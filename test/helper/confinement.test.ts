import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { isAllowed, RequestRate } from '../../src/helper/allow-list.ts';
import { confinementFaults } from '../../src/helper/confinement.ts';
import { installHelper, programFaults, uninstallHelper } from '../../src/helper/install.ts';
import { launchdPlist, serviceUnit, socketUnit, type UnitOptions } from '../../src/helper/units.ts';
import { slipway } from '../cli/slipway.ts';
import { needs } from '../support/needs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { CONFINED, canConfine, RunningHelper } from './harness.ts';

const STATUS = `Name:\tnode
Uid:\t999\t999\t999\t999
CapInh:\t0000000000000400
CapPrm:\t0000000000000400
CapEff:\t0000000000000400
CapBnd:\t0000000000000400
CapAmb:\t0000000000000400
NoNewPrivs:\t1
`;

test('one capability, no way to another and no root is what it may be', () => {
  assert.deepEqual(confinementFaults(STATUS), []);
});

for (const [what, from, to] of [
  ['CapEff is 0000000000000401: more than CAP_NET_BIND_SERVICE', /(CapEff:\t.*)400/, '$1401'],
  ['CapBnd is 000001ffffffffff: more than CAP_NET_BIND_SERVICE', /CapBnd:.*/, 'CapBnd:\t000001ffffffffff'],
  ['CapPrm is : more than CAP_NET_BIND_SERVICE', /CapPrm:.*\n/, ''],
  ['CapEff lacks CAP_NET_BIND_SERVICE', /(CapEff:\t.*)400/, '$1000'],
  ['NoNewPrivs is not set', /(NoNewPrivs:\t)1/, '$10'],
  ['it runs as root', /999\n/, '0\n'],
] as const) {
  test(`refused: ${what}`, () => {
    assert.deepEqual(confinementFaults(STATUS.replace(from, to)), [what]);
  });
}

for (const [fault, confinement] of [
  ['it runs as root', CONFINED.filter((flag) => !flag.startsWith('--re'))],
  ['NoNewPrivs is not set', CONFINED.filter((flag) => flag !== '--no-new-privs')],
  ['CapBnd is [0-9a-f]+: more', CONFINED.filter((flag) => !flag.startsWith('--bounding'))],
  ['CapEff lacks CAP_NET_BIND_SERVICE', CONFINED.filter((flag) => !flag.startsWith('--ambient'))],
] as const) {
  test(`a real process does not serve when ${fault}`, async (t) => {
    if (!canConfine(t)) return;
    const helper = new RunningHelper(t, { confinement });
    await helper.says(new RegExp(`refuses to serve like this: .*${fault}`));
    await helper.says(/ERR_HELPER_CONFINEMENT/);
    await helper.ended;
    assert.equal(helper.child.exitCode, 1);
  });
}

test('users and all of their groups are looked up', () => {
  const allow = { uids: new Set([5]), gids: new Set([7]) };
  assert.equal(isAllowed(allow, { pid: 1, uid: 5, gids: [1] }), true);
  assert.equal(isAllowed(allow, { pid: 1, uid: 6, gids: [1, 7] }), true);
  assert.equal(isAllowed(allow, { pid: 1, uid: 7, gids: [5] }), false);
});

test('a bucket empties, is reported once, and fills again', () => {
  const rate = new RequestRate();
  for (let i = 0; i < RequestRate.BURST; i++) assert.equal(rate.take(5, 0), 'go');
  assert.deepEqual([rate.take(5, 0), rate.take(5, 0), rate.take(6, 0)], ['stop', 'silent', 'go']);
  assert.equal(rate.take(5, 1000 / RequestRate.PER_SECOND), 'go');
  assert.equal(rate.take(5, 1000 / RequestRate.PER_SECOND), 'stop');
});

const OPTIONS: UnitOptions = {
  program: ['/usr/bin/node', '/usr/lib/slip way/100%/main.js'],
  socket: '/run/slipway-helper.sock',
  uids: [1000],
  gids: [],
};

test('the units are what systemd understands, and give nothing but the one capability', (t) => {
  if (!needs(t, 'systemd-analyze')) return;
  const folder = temporaryFolder('units');
  const program = [process.execPath, ...OPTIONS.program.slice(1)];
  const files = [path.join(folder, 'slipway-helper.socket'), path.join(folder, 'slipway-helper.service')];
  writeFileSync(files[0]!, socketUnit({ ...OPTIONS, program }));
  writeFileSync(files[1]!, serviceUnit({ ...OPTIONS, program }));
  const said = execFileSync('systemd-analyze', ['verify', ...files], { encoding: 'utf8', stdio: 'pipe' });
  assert.equal(said, '');
  const service = serviceUnit(OPTIONS);
  assert.match(
    service,
    /^ExecStart="\/usr\/bin\/node" "\/usr\/lib\/slip way\/100%%\/main\.js" "helper" "serve" "--allow-uid" "1000"/m,
  );
  for (const line of ['AmbientCapabilities', 'CapabilityBoundingSet']) {
    assert.match(service, new RegExp(`^${line}=CAP_NET_BIND_SERVICE$`, 'm'));
  }
});

test('one group alone opens the socket to that group alone', () => {
  assert.match(socketUnit({ ...OPTIONS, uids: [], gids: [33] }), /^SocketMode=0660\nSocketGroup=33$/m);
  assert.match(socketUnit(OPTIONS), /^SocketMode=0666$/m);
});

test('the plist is well-formed whatever the program is called', () => {
  assert.match(launchdPlist({ ...OPTIONS, program: ['/a&<b>'] }), /<string>\/a&amp;&lt;b&gt;<\/string>/);
});

test('what is installed is told, and removed again', () => {
  const folder = temporaryFolder('units');
  const told: string[] = [];
  installHelper(OPTIONS, folder, (line) => told.push(line));
  assert.ok(told.includes(`wrote ${folder}/slipway-helper.service`));
  assert.equal(readFileSync(path.join(folder, 'slipway-helper.socket'), 'utf8'), socketUnit(OPTIONS));
  uninstallHelper(folder, (line) => told.push(line));
  assert.ok(told.includes(`removed ${folder}/slipway-helper.service`));
  uninstallHelper(folder, (line) => told.push(line));
  assert.equal(told.at(-1), `the helper is not installed in ${folder}`);
});

test('a program that others may change is warned of', () => {
  const folder = temporaryFolder('units');
  const program = path.join(folder, 'main.js');
  writeFileSync(program, '', { mode: 0o666 });
  assert.ok(
    programFaults(program).some((fault) => fault.startsWith(folder)),
    'a folder that is 0700',
  );
  assert.match(programFaults('/tmp').join(), /\/tmp is hidden from the helper/);
  assert.deepEqual(programFaults(path.join(folder, 'none')), [`${folder}/none does not exist`]);
});

test('nothing is installed or removed without --yes', async (t) => {
  for (const what of ['install', 'uninstall']) {
    const { status, stderr } = await slipway(t, 'helper', what, '--to', tmpdir());
    assert.equal(status, 2);
    assert.match(stderr, /nothing was (installed|removed)\n.*--yes.*\n.*ERR_USAGE/);
  }
});

test('--print writes both units to standard output', async (t) => {
  const { status, stdout } = await slipway(t, 'helper', 'install', '--print', '--allow-uid', '77', '--allow-gid', '88');
  assert.equal(status, 0);
  assert.match(stdout, /^# \/etc\/systemd\/system\/slipway-helper\.service\n\[Unit\]/);
  assert.match(stdout, /"--allow-uid" "77" "--allow-gid" "88"/);
  assert.match(stdout, /\n# \/etc\/systemd\/system\/slipway-helper\.socket\n\[Unit\]/);
});
