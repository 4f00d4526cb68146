import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ContainerExchangesOptions, containerExchanges } from '../../src/docker/container-exchanges.ts';
import { parseRequestHead } from '../../src/docker/http/head.ts';

/** What is read of a request; undefined where it just passes. */
function read(line: string): 'head' | 'body' | undefined {
  const head = parseRequestHead(Buffer.from(`${line} HTTP/1.1\r\nHost: d\r\n\r\n`));
  assert.ok(head !== undefined);
  return containerExchanges({} as ContainerExchangesOptions)(head)?.reads;
}

test('of few requests the head is read, of create the body, and all others pass', () => {
  assert.equal(read('POST /v1.41/containers/create?name=web'), 'body');
  for (const line of [
    'POST /containers/web/start',
    'POST /v1.24/containers/web/restart?t=1',
    'POST /containers/web/stop',
    'POST /containers/web/kill?signal=HUP',
    'DELETE /containers/web?force=1',
    'GET /containers/json',
    'GET /containers/web/json?size=1',
  ]) {
    assert.equal(read(line), 'head', line);
  }
  for (const line of [
    'GET /containers/create',
    'GET /info',
    'POST /containers/web/attach',
    'POST /containers/web/exec',
    'POST /containers/prune',
    'POST /images/create',
    'GET /containers/web/logs',
  ]) {
    assert.equal(read(line), undefined, line);
  }
});

test('a path with an escape that is none is the engine’s to refuse', () => {
  for (const line of ['POST /containers/%zz/start', 'DELETE /containers/%', 'POST /containers/%e0%a4/stop']) {
    assert.equal(read(line), undefined, line);
  }
});
