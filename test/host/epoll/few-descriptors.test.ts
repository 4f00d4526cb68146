import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { LimitFindings } from './few-descriptors-probe.ts';

describe('without a free descriptor', () => {
  it('a dial says EMFILE, and a listener rests, counts and takes its guest later; one that is closed is free at once', async () => {
    const probe = fileURLToPath(new URL('./few-descriptors-probe.ts', import.meta.url));
    const { stdout } = await promisify(execFile)('sh', [
      '-c',
      'ulimit -n 64 && exec "$0" "$1"',
      process.execPath,
      probe,
    ]);
    const { failures, ...findings } = JSON.parse(stdout) as LimitFindings;
    const refused = { dial: 'EMFILE', datagram: 'EMFILE', echo: 'EMFILE' };
    assert.deepEqual(findings, { ...refused, afterOneClosed: ['opened', 'opened', 'opened'], guests: 1 });
    assert.ok(failures >= 1 && failures < 50, `the listener tried ${failures} times in a few hundred ms`);
  });
});
