import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { closePorts } from '../../../src/host/ports/bind.ts';
import { bindUnix } from '../../../src/host/ports/bind-unix.ts';

function folder(t: TestContext): string {
  const made = mkdtempSync(path.join(tmpdir(), 'slipway-unix-'));
  t.after(() => rmSync(made, { recursive: true }));
  return made;
}

test('file and folder are for this user alone', (t) => {
  const file = path.join(folder(t), 'new', 'deep', 'a.sock');
  const bound = bindUnix(file);
  t.after(() => closePorts(bound));
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(path.dirname(file)).mode & 0o777, 0o700);
  assert.equal(bound.descriptors, 1);
  bound.remove();
  assert.equal(existsSync(file), false);
});

test('a socket that a killed process left behind is replaced', (t) => {
  const file = path.join(folder(t), 'a.sock');
  closePorts(bindUnix(file));
  assert.ok(existsSync(file));
  closePorts(bindUnix(file));
});

test('a socket that is bound but does not listen is not taken for a dead one', (t) => {
  const file = path.join(folder(t), 'a.sock');
  const bound = bindUnix(file);
  t.after(() => closePorts(bound));
  assert.throws(() => bindUnix(file), {
    code: 'ERR_PORT_IN_USE',
    message: new RegExp(
      `^listen unix ${file}: bind: address already in use: held by node \\(pid ${process.pid}, user \\S+\\)$`,
    ),
  });
});

test('a server is left alone', async (t) => {
  const file = path.join(folder(t), 'a.sock');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(file, resolve));
  t.after(() => server.close());
  assert.throws(() => bindUnix(file), { code: 'ERR_PORT_IN_USE' });
  assert.ok(existsSync(file));
});

test('another kind of file stays', (t) => {
  const file = path.join(folder(t), 'a.txt');
  writeFileSync(file, 'mine');
  assert.throws(() => bindUnix(file), { code: 'ERR_PORT_IN_USE', message: /it exists and is not a socket$/ });
  assert.ok(existsSync(file));
});

test('only the file that was made is removed', (t) => {
  const file = path.join(folder(t), 'a.sock');
  const bound = bindUnix(file);
  t.after(() => closePorts(bound));
  renameSync(file, `${file}.moved`);
  writeFileSync(file, 'of someone else');
  bound.remove();
  assert.ok(statSync(file).isFile());
});

test('a path that no socket can have', (t) => {
  for (const file of ['relative.sock', path.join(folder(t), 'x'.repeat(108))]) {
    assert.throws(() => bindUnix(file), { code: 'ERR_PORT_ADDRESS' });
  }
  const file = path.join(folder(t), 'file');
  writeFileSync(file, '');
  assert.throws(() => bindUnix(path.join(file, 'a.sock')), { code: 'ERR_PORT_ADDRESS' });
});
