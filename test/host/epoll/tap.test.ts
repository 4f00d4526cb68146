import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { needs, needsRoot } from '../../support/needs.ts';
import type { TapFindings } from './tap-probe.ts';

describe('a tap device', () => {
  it('carries a frame a call, loses what it refuses, and says when it is gone', async (t) => {
    if (!needsRoot(t) || !needs(t, 'unshare', 'ip')) return;
    const probe = fileURLToPath(new URL('./tap-probe.ts', import.meta.url));
    const { stdout } = await promisify(execFile)('unshare', ['--net', process.execPath, probe]);
    const findings: TapFindings = JSON.parse(stdout);
    assert.deepEqual(findings, {
      whileDown: { written: -2, error: null, refusedDown: 1 },
      reply: { bytes: 42, operation: 2, senderAddress: 0x0a010001 },
      refused: { written: -2, error: null, refused: 1 },
      drained: -1,
      gone: { read: -2, error: 'EIO' },
    });
  });
});
