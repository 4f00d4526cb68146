import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { AttachmentKind, Carrier } from '../../src/attachment/kinds/kind.ts';
import { ATTACHMENT_KINDS } from '../../src/attachment/kinds/kinds.ts';
import { EngineLack } from '../../src/control/engine-lack.ts';
import { EPOLL_ATTACHMENTS } from '../../src/control/epoll-attachments.ts';
import { NODE_ATTACHMENTS } from '../../src/control/node-attachments.ts';

const text = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');

function row({ example, programs, dials, carrier, protocol, maxFrameBytes }: AttachmentKind): string {
  const engines = NODE_ATTACHMENTS[carrier] instanceof EngineLack ? 'epoll' : 'epoll, node';
  const frames = protocol === 'qemu-stream' ? 'each behind its length, u32 big-endian' : 'one a datagram';
  const cells = [`\`${example}\``, programs, dials ? 'yes' : 'no', frames, maxFrameBytes.toLocaleString('en'), engines];
  return `| ${cells.join(' | ')} |`;
}

test('the table of attachments in docs/configuration.md is what the registry says', () => {
  const shown = text.split('\n').filter((line) => /^\| `[a-z]+\+[a-z]+:/.test(line));
  assert.deepEqual(shown, ATTACHMENT_KINDS.map(row));
});

test('a carrier without a maker does not compile', () => {
  // @ts-expect-error: the epoll engine would not know how to make datagrams.
  const lacking: typeof EPOLL_ATTACHMENTS = { stream: EPOLL_ATTACHMENTS.stream };
  // @ts-expect-error: no engine has heard of it.
  const unknown: Carrier = 'pigeon';
  assert.equal('datagram' in lacking, false);
  assert.equal(unknown in EPOLL_ATTACHMENTS, false);
});

test('no two attachments have one scheme', () => {
  const schemes = ATTACHMENT_KINDS.map(({ scheme }) => scheme);
  assert.deepEqual(schemes, [...new Set(schemes)]);
});
