import assert from 'node:assert/strict';
import { existsSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { closePorts } from '../../../src/host/ports/bind.ts';
import { bindUnix } from '../../../src/host/ports/bind-unix.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

test('file and folder are for this user alone', (t) => {
  const file = path.join(temporaryFolder('unix'), 'new', 'deep', 'a.sock');
  const bound = bindUnix(file);
  t.after(() => closePorts(bound));
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(path.dirname(file)).mode & 0o777, 0o700);
  assert.equal(bound.descriptors, 1);
  bound.file.remove();
  assert.equal(existsSync(file), false);
});

test('a socket that a killed process left behind is replaced', () => {
  const file = path.join(temporaryFolder('unix'), 'a.sock');
  closePorts(bindUnix(file));
  assert.ok(existsSync(file));
  closePorts(bindUnix(file));
});

test('a socket that is bound but does not listen is not taken for a dead one', (t) => {
  const file = path.join(temporaryFolder('unix'), 'a.sock');
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
  const file = path.join(temporaryFolder('unix'), 'a.sock');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(file, resolve));
  t.after(() => server.close());
  assert.throws(() => bindUnix(file), { code: 'ERR_PORT_IN_USE' });
  assert.ok(existsSync(file));
});

test('another kind of file stays', () => {
  const file = path.join(temporaryFolder('unix'), 'a.txt');
  writeFileSync(file, 'mine');
  assert.throws(() => bindUnix(file), { code: 'ERR_PORT_IN_USE', message: /it exists and is not a socket$/ });
  assert.ok(existsSync(file));
});

test('only the file that was made is removed', (t) => {
  const file = path.join(temporaryFolder('unix'), 'a.sock');
  const bound = bindUnix(file);
  t.after(() => closePorts(bound));
  renameSync(file, `${file}.moved`);
  writeFileSync(file, 'of someone else');
  bound.file.remove();
  assert.ok(statSync(file).isFile());
});

test('a path that no socket can have', () => {
  for (const file of ['relative.sock', path.join(temporaryFolder('unix'), 'x'.repeat(108))]) {
    assert.throws(() => bindUnix(file), { code: 'ERR_PORT_ADDRESS' });
  }
  const file = path.join(temporaryFolder('unix'), 'file');
  writeFileSync(file, '');
  assert.throws(() => bindUnix(path.join(file, 'a.sock')), { code: 'ERR_PORT_ADDRESS' });
});

test('a folder that the kernel lets nobody make is an error at once', () => {
  assert.throws(() => bindUnix('/proc/foo/bar/a.sock'), {
    code: 'ERR_PORT_FAILED',
    message: 'listen unix /proc/foo/bar/a.sock: bind: its folder /proc/foo/bar does not exist and cannot be made',
  });
});
