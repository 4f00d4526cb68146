import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Config, resolveConfig } from '../../src/config/config.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { configProblem } from '../support/config-problem.ts';

const read = (yaml: string): Config['docker'] => resolveConfig(parseConfig(yaml, 'slipway.yaml')).docker;

test('an engine: its own socket, and what is left out', () => {
  assert.deepEqual(read('docker: [{ engine: "unix:///run/vm/docker.sock" }]'), [
    { socket: '', engine: '/run/vm/docker.sock', guest: undefined, bind: 'all' },
  ]);
  assert.deepEqual(
    read('docker: [{ engine: "unix:///run/a", socket: /run/b, guest: 192.168.65.9, bind: local-only }]'),
    [{ socket: '/run/b', engine: '/run/a', guest: 0xc0a84109, bind: 'local-only' }],
  );
});

test('a scheme that Docker has and Slipway does not have yet is named', () => {
  for (const url of ['ssh://me@vm', 'tcp://127.0.0.1:2375', 'tcp+tls://vm:2376']) {
    const { message } = configProblem(() => read(`docker: [{ engine: "${url}" }]`));
    assert.match(message, /slipway\.yaml:1/);
    assert.ok(message.includes(`(there is no ${url.split(':', 1)[0]}:// yet)`), message);
  }
  const { message } = configProblem(() => read('docker: [{ engine: /run/docker.sock }]'));
  assert.match(message, /docker\.0\.engine: expected unix:\/\/ and an absolute path .* found "\/run\/docker\.sock"/);
});

test('two engines at one socket, a socket that is the engine’s own, and a guest of another network are refused', () => {
  const problem = (yaml: string): string => configProblem(() => read(yaml)).message;
  const one = 'engine: "unix:///run/a"';
  assert.equal(
    problem(`docker: [{ ${one} }, { ${one} }]`),
    "docker.1.socket: the usual socket is another engine's already",
  );
  assert.equal(
    problem(`docker: [{ ${one}, socket: /run/b }, { ${one}, socket: /run/b }]`),
    "docker.1.socket: /run/b is another engine's already",
  );
  assert.match(problem(`docker: [{ ${one}, socket: /run/a }]`), /is the engine's own socket$/);
  assert.match(problem(`docker: [{ ${one}, guest: 10.0.0.1 }]`), /10\.0\.0\.1 is outside of the subnet/);
});
