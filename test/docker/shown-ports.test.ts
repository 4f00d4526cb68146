import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ASKED_LABEL } from '../../src/docker/ports/asked-label.ts';
import { parseInspected } from '../../src/docker/ports/inspected.ts';
import { withAskedPorts } from '../../src/docker/ports/shown-ports.ts';

const ASKED = JSON.stringify({ '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8080', EnginePort: '41000' }] });
const LABELS = { [ASKED_LABEL]: ASKED };

function shown(value: unknown): unknown {
  return JSON.parse(withAskedPorts(Buffer.from(JSON.stringify(value))).toString());
}

const INSPECTED = {
  Id: 'a',
  State: { Running: true },
  Config: { Labels: LABELS },
  HostConfig: { PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '41000' }], '1/tcp': null } },
  NetworkSettings: {
    Ports: {
      '80/tcp': [
        { HostIp: '0.0.0.0', HostPort: '41000' },
        { HostIp: '::', HostPort: '41000' },
      ],
      '443/tcp': null,
    },
  },
};

test('a description shows what was asked for', () => {
  assert.deepEqual(shown(INSPECTED), {
    ...INSPECTED,
    HostConfig: { PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8080' }], '1/tcp': null } },
    NetworkSettings: { Ports: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8080' }], '443/tcp': null } },
  });
});

test('the list shows what was asked for, of those containers alone', () => {
  const other = { Id: 'b', Labels: {}, Ports: [{ IP: '0.0.0.0', PrivatePort: 80, PublicPort: 41000, Type: 'tcp' }] };
  const ours = {
    Id: 'a',
    Labels: LABELS,
    Ports: [
      { PrivatePort: 443, Type: 'tcp' },
      { IP: '0.0.0.0', PrivatePort: 80, PublicPort: 41000, Type: 'tcp' },
      { IP: '::', PrivatePort: 80, PublicPort: 41000, Type: 'tcp' },
    ],
  };
  const Ports = [
    { PrivatePort: 443, Type: 'tcp' },
    { IP: '127.0.0.1', PrivatePort: 80, PublicPort: 8080, Type: 'tcp' },
  ];
  assert.deepEqual(shown([ours, other]), [{ ...ours, Ports }, other]);
});

test('answers without our label, and what is no JSON, pass octet for octet', () => {
  for (const text of ['[]', '{"message": "no such container"}', `{"Config":{"Labels":{"${ASKED_LABEL}"`]) {
    assert.equal(withAskedPorts(Buffer.from(text)).toString(), text);
  }
});

test('what Slipway itself reads of a description has both ends', () => {
  const binding = { protocol: 'tcp', containerPort: 80, hostIp: '127.0.0.1', hostPort: 8080, enginePort: 41000 };
  const inspected = parseInspected(INSPECTED);
  assert.deepEqual(inspected?.wanted, [binding]);
  assert.deepEqual(inspected?.published, [binding]);
});

test('a port at every address is one binding, though the engine shows two', () => {
  const inspected = parseInspected({
    ...INSPECTED,
    Config: { Labels: null },
    HostConfig: { PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '' }] } },
  });
  assert.deepEqual(inspected?.published, [
    { protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 41000, enginePort: 41000 },
  ]);
  assert.deepEqual(inspected?.wanted, [], 'a port that the engine chooses is not known before');
});

test('host networking publishes nothing, whatever it asks for', () => {
  const HostConfig = { NetworkMode: 'host', PortBindings: { '80/tcp': [{ HostPort: '80' }] } };
  assert.deepEqual(parseInspected({ Id: 'a', HostConfig })?.wanted, []);
  assert.equal(parseInspected({ message: 'no such container' }), undefined);
});
