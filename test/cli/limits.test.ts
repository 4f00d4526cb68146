import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import { SlipwayError } from '../../src/facts/errors.ts';
import { assertLimits } from '../../src/control/process-limits.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { BUILT, type Ended } from './slipway.ts';

const COMMANDS = [
  ['up', ['up', '--listen', 'qemu+tcp://127.0.0.1:0'], 1],
  ['run', ['run', '--', 'true'], 125],
  ['demo', ['demo'], 1],
] as const;

/** The published command line behind a command of the shell. */
async function behind(shell: string, args: readonly string[]): Promise<Ended> {
  const folder = temporaryFolder('test');
  const env = { ...process.env, HOME: folder, XDG_RUNTIME_DIR: folder, XDG_STATE_HOME: folder };
  const child = spawn('sh', ['-c', `${shell}; exec "$@"`, 'sh', process.execPath, BUILT, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (bytes) => {
    stdout += String(bytes);
  });
  child.stderr.on('data', (bytes) => {
    stderr += String(bytes);
  });
  await once(child, 'close');
  return { status: child.exitCode, stdout, stderr };
}

for (const [name, args, expected] of COMMANDS) {
  for (const limit of ['ulimit -n 64', 'ulimit -n 40', 'ulimit -v 4000000', 'ulimit -v 2500000']) {
    test(`slipway ${name} under ${limit} says what is short and ends with ${expected}`, {
      timeout: 60_000,
    }, async () => {
      const { status, stdout, stderr } = await behind(limit, args);
      assert.equal(status, expected, stderr);
      assert.equal(stdout, '');
      assert.match(
        stderr,
        /^slipway: (this process may open|the address space of this process).*\n {2}(Raise|Lift) the limit: ulimit -.*\n {2}\(ERR_PROCESS_LIMITS, see docs\/errors\.md\)\n$/,
      );
    });
  }
}

test('limits that leave enough are none to complain of', () => {
  const status = 'VmSize:\t  900000 kB\n';
  const limits = (space: string, files: number): string =>
    `Max address space         ${space}            unlimited            bytes\nMax open files            ${files}                 1048576              files\n`;
  assertLimits(limits('unlimited', 1024), status);
  assertLimits('', '');
  const code = (run: () => void): string => {
    try {
      run();
    } catch (error) {
      return error instanceof SlipwayError ? error.code : String(error);
    }
    return '';
  };
  assert.equal(
    code(() => assertLimits(limits('4096000000', 1024), status)),
    'ERR_PROCESS_LIMITS',
  );
  assert.equal(
    code(() => assertLimits(limits('unlimited', 64), status)),
    'ERR_PROCESS_LIMITS',
  );
});

test('the folder of a socket that is not there is one line, the way out and the code', {
  timeout: 60_000,
}, async () => {
  const folder = temporaryFolder('test');
  const file = path.join(folder, 'file');
  const listen = ['--listen', 'qemu+tcp://127.0.0.1:0'];
  for (const [args, status, said] of [
    [['up', '--listen', `qemu+unix://${file}/nowhere/vm.sock`], 1, /the folder .* does not exist/],
    [['up', ...listen, '--control', `${file}/nowhere/control.sock`], 1, /the folder .* does not exist|control/],
  ] as const) {
    const ended = await behind('true', args);
    assert.equal(ended.status, status, ended.stderr);
    assert.match(ended.stderr, said);
    assert.match(ended.stderr, /^slipway: .*\n {2}.*\n {2}\(ERR_\w+, see docs\/errors\.md\)\n$/);
  }
});
