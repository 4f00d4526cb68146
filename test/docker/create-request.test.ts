import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ASKED_LABEL } from '../../src/docker/ports/asked-label.ts';
import type { Binding } from '../../src/docker/ports/binding.ts';
import { readCreateRequest } from '../../src/docker/ports/create-request.ts';

/**
 * The request's body after each wish for any port got 40001 and up, and each address of the host alone 50001 and up.
 */
function settled(body: string): string {
  const request = readCreateRequest(Buffer.from(body));
  if (request === undefined) return 'passes';
  const bindings = request.wishes.map(({ protocol, containerPort, hostIp, hostPort: wish }, i): Binding => {
    const hostPort = wish.kind === 'fixed' ? wish.port : 40_001 + i;
    const enginePort = hostIp === '' || hostIp === '0.0.0.0' ? hostPort : 50_001 + i;
    return { protocol, containerPort, hostIp, hostPort, enginePort };
  });
  return request.withBindings(bindings).toString();
}

test('a request for fixed ports at every address passes octet for octet', () => {
  const body = '{ "Image":"web",\n "HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]}} }';
  assert.equal(settled(body), body);
});

test('a chosen port is spliced in, and a label keeps what was asked for; all else stays as it was written', () => {
  const body = '{"Image":"web" , "X":1.50,"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":""}]},"Y":[ ]}}';
  const asked = JSON.stringify({ '80/tcp': [{ HostIp: '', HostPort: '40001', EnginePort: '40001' }] });
  assert.equal(
    settled(body),
    `{"Labels":{${JSON.stringify(ASKED_LABEL)}:${JSON.stringify(asked)}},"Image":"web" , "X":1.50,"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"40001"}]},"Y":[ ]}}`,
  );
});

test('an address that only the host has becomes a port of its own at the engine’s addresses', () => {
  const body =
    '{"Labels":{"a":"b"},"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"80"},{"HostIp":"0.0.0.0","HostPort":"81"}]}}}';
  const told = JSON.parse(settled(body));
  assert.deepEqual(told.HostConfig.PortBindings['80/tcp'], [
    { HostIp: '', HostPort: '50001' },
    { HostIp: '0.0.0.0', HostPort: '81' },
  ]);
  assert.equal(told.Labels.a, 'b');
  assert.deepEqual(JSON.parse(told.Labels[ASKED_LABEL])['80/tcp'][0], {
    HostIp: '127.0.0.1',
    HostPort: '80',
    EnginePort: '50001',
  });
});

test('keys are read as Go reads them: without case, and a second object adds to the first', () => {
  const body =
    '{"hostconfig":{"portbindings":{"80/tcp":[{"hostport":"1"}]}},"HostConfig":{"PORTBINDINGS":{"81":[{"HOSTPORT":"2"}]}}}';
  const request = readCreateRequest(Buffer.from(body));
  assert.deepEqual(
    request?.wishes.map(({ containerPort, hostPort }) => [containerPort, hostPort]),
    [
      [80, { kind: 'fixed', port: 1 }],
      [81, { kind: 'fixed', port: 2 }],
    ],
  );
});

test('what publishes nothing, and what the engine refuses, passes as it is', () => {
  for (const body of [
    '',
    '[]',
    '{"Image":"web"}',
    '{"HostConfig":{"PortBindings":{"80/tcp":[]}}}',
    '{"HostConfig":{"PortBindings":{"80/tcp":null}}}',
    '{"HostConfig":{"NetworkMode":"host","PortBindings":{"80/tcp":[{"HostPort":"1"}]}}}',
    '{"HostConfig":{"NetworkMode":"container:x","PortBindings":{"80/tcp":[{"HostPort":"1"}]}}}',
    '{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"http"}]}}}',
    '{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":""},{"HostPort":"http"}]}}}',
    '{"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"localhost","HostPort":"1"}]}}}',
    '{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":8080}]}}}',
    '{"HostConfig":{"PortBindings":{"80/tcp":["8080"]}}}',
    '{"HostConfig":{"PortBindings":{"80/sctp":[{"HostPort":"1"}]}}}',
    '{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"1"}]}}} trailing',
    '{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"1",}]}}}',
  ]) {
    assert.equal(settled(body), 'passes', body);
  }
});
