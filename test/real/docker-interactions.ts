import type { Ask, CommandLine, Dialogue, Interaction } from '../support/docker-transcript.ts';

/*
 * What is done with the engine, as tables. Groups share one engine and come in this order; a group leaves nothing
 * behind that a later one would see.
 */

const JSON_TYPE = 'Content-Type: application/json';
const UPGRADE = ['Connection: Upgrade', 'Upgrade: tcp'];
/** API versions: the oldest that the engine speaks, some between, its own, and none. */
const VERSIONS = ['/v1.24', '/v1.30', '/v1.35', '/v1.40', '/v1.41', ''];
/** Figures of the machine and of the moment. */
const FIGURES = [/-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g];

const ask = (method: string, path: string, more: Partial<Ask> = {}): Ask => ({ kind: 'ask', method, path, ...more });
const get = (path: string, more: Partial<Ask> = {}): Ask => ask('GET', path, more);
const post = (path: string, body?: unknown, more: Partial<Ask> = {}): Ask =>
  ask('POST', path, body === undefined ? more : { fields: [JSON_TYPE], body: JSON.stringify(body), ...more });
const remove = (path: string): Ask => ask('DELETE', path);
const talk = (...steps: Dialogue['steps']): Dialogue => ({ kind: 'dialogue', steps });
const docker = (args: string, more: Partial<CommandLine> = {}): CommandLine => ({
  kind: 'cli',
  args: args.split(' '),
  ...more,
});
/** A request's head, with the Host that Docker's clients send. */
const head = (line: string, ...fields: readonly string[]): string =>
  `${[`${line} HTTP/1.1`, 'Host: docker', ...fields].join('\r\n')}\r\n\r\n`;

/** A container of this computer's programs that runs a shell's line. */
const shell = (line: string, more: object = {}, host: object = {}): object => ({
  Image: 'machine',
  Hostname: 'box',
  Cmd: ['sh', '-c', line],
  HostConfig: { Binds: ['/usr:/usr:ro'], ...host },
  ...more,
});

export function interactionGroups(): Readonly<Record<string, readonly Interaction[]>> {
  return {
    'what an empty engine shows, in each version of the API': VERSIONS.flatMap(emptyEngine),
    'a container’s life, in each version of the API': VERSIONS.flatMap(containerLife),
    'requests that are wrong': wrongRequests(),
    'containers that publish ports': publishing(),
    'streams that the engine takes over': takenOver(),
    'files, images and builds': images(),
    'networks and volumes': ['/v1.24', ''].flatMap(networksAndVolumes),
    'the docker command line': commandLine(),
  };
}

function emptyEngine(v: string): Interaction[] {
  return [
    ask('HEAD', `${v}/_ping`),
    get(`${v}/_ping`),
    get(`${v}/version`, { mask: [/"KernelVersion":"[^"]*"/g] }),
    get(`${v}/info`, { mask: FIGURES }),
    get(`${v}/containers/json`),
    get(`${v}/containers/json?all=1&size=1`),
    get(`${v}/containers/json?filters=${encodeURIComponent('{"status":["running"]}')}`),
    get(`${v}/containers/json?filters=nonsense`),
    get(`${v}/containers/nobody/json`),
    get(`${v}/containers/nobody/logs?stdout=1`),
    get(`${v}/images/json?all=1`),
    get(`${v}/images/machine/json`),
    get(`${v}/images/machine/history`),
    get(`${v}/images/nobody/json`),
    get(`${v}/networks`, { anyOrder: true }),
    get(`${v}/networks/bridge`),
    get(`${v}/networks/nobody`),
    get(`${v}/volumes`),
    get(`${v}/volumes/nobody`),
    get(`${v}/system/df`),
    get(`${v}/plugins`),
    get(`${v}/services`),
    get(`${v}/swarm`),
    get(`${v}/nodes`),
    get(`${v}/tasks`),
    get(`${v}/secrets`),
    get(`${v}/configs`),
    get(`${v}/events?since=1&until=2`),
    get(`${v}/distribution/nobody/json`, { mask: [/"message":"[^"]*"/g] }),
    post(`${v}/containers/nobody/start`),
    post(`${v}/containers/nobody/stop`),
    post(`${v}/exec/nobody/start`, {}),
    get(`${v}/nowhere`),
  ];
}

function containerLife(v: string): Interaction[] {
  const c = `${v}/containers/life`;
  return [
    post(`${v}/containers/create?name=life`, shell('echo out; exec sleep 600')),
    post(`${v}/containers/create?name=life`, shell('true')),
    get(`${c}/json`),
    post(`${c}/start`),
    post(`${c}/start`),
    get(`${c}/json?size=1`),
    get(`${v}/containers/json?all=1`),
    get(`${c}/top?ps_args=-o+pid,comm`, { mask: [/\["\d+[^\]]*\]/g] }),
    get(`${c}/stats?stream=0`, { mask: FIGURES }),
    post(`${c}/pause`),
    post(`${c}/pause`),
    get(`${v}/containers/json`),
    post(`${c}/unpause`),
    post(`${c}/rename?name=renamed`),
    post(`${v}/containers/renamed/rename?name=life`),
    post(`${c}/update`, { CpuShares: 512 }),
    post(`${c}/resize?h=10&w=20`),
    post(`${c}/exec`, { AttachStdout: true, Cmd: ['echo', 'x'] }, { keep: ['exec', /"Id":"([0-9a-f]+)"/] }),
    get(`${v}/exec/{exec}/json`),
    post(`${c}/kill?signal=HUP`),
    post(`${c}/kill?signal=NONSENSE`),
    post(`${c}/stop?t=0`),
    post(`${c}/stop?t=0`),
    post(`${c}/wait`),
    get(`${c}/logs?stdout=1&stderr=1&timestamps=0`),
    get(`${c}/changes`),
    get(`${c}/export`, { alone: true }),
    get(`${c}/archive?path=/etc/nsswitch.conf`),
    ask('HEAD', `${c}/archive?path=/etc/nsswitch.conf`),
    post(`${c}/restart?t=0`),
    post(`${c}/kill`),
    post(`${c}/wait?condition=not-running`),
    remove(`${c}?force=1`),
    remove(c),
  ];
}

function wrongRequests(): Interaction[] {
  const create = (body: string, ...fields: readonly string[]): Ask =>
    ask('POST', '/containers/create', { body, fields: [JSON_TYPE, ...fields], name: `create ${body.slice(0, 120)}` });
  const whole = (text: string): Dialogue => ({ ...talk(text, 'end'), name: text.slice(0, 60) });
  return [
    get('/v1.10/info'),
    get('/v1.99/info'),
    get('/v9/info'),
    get('//containers/json'),
    get('/containers//json'),
    get('/containers/../json'),
    get('/containers/%zz/json'),
    post('/containers/%zz/start'),
    post('/containers/%2e%2e/start'),
    post('/containers/a%2Fb/stop'),
    remove('/containers/%zz'),
    ask('PUT', '/containers/json'),
    ask('get', '/_ping'),
    ask('OPTIONS', '/info'),
    ask('TRACE', '/info'),
    post('/auth', { username: 'u', password: 'p', serveraddress: 'https://127.0.0.1:1/v2/' }),
    create(''),
    create('{'),
    create('null'),
    create('[]'),
    create('"text"'),
    create('{} trailing'),
    create('{}'),
    create('{"Image":1}'),
    create('{"Image":"nobody"}'),
    create('{"Image":"machine","HostConfig":7}'),
    create('{"Image":"machine","HostConfig":{"PortBindings":7}}'),
    create('{"Image":"machine","HostConfig":{"PortBindings":{"x/tcp":[{"HostPort":"1"}]}}}'),
    create('{"Image":"machine","HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"x"}]}}}'),
    create('{"Image":"machine","HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"70000"}]}}}'),
    create('{"Image":"machine","HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"x","HostPort":"1"}]}}}'),
    create('{"Image":"machine","HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":8080}]}}}'),
    create('{"Image":"machine","HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":""},{"HostPort":"x"}]}}}'),
    create('{"Image":"machine","HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"9-8"}]}}}'),
    create('{"Image":"machine","HostConfig":{"PortBindings":{"80/tcp":{"HostPort":"1"}}}}'),
    create('{"Image":"machine","HostConfig":{"PortBindings":{"80/tcp":["1"]}}}'),
    create('{"Image":"machine","HostConfig":{"NetworkMode":"none","PortBindings":{"80/tcp":[{"HostPort":"1"}]}}}'),
    ask('POST', '/containers/create', { body: '{"Image":"machine"}', fields: ['Content-Type: text/plain'] }),
    ask('POST', '/containers/create?name=!!', { body: '{"Image":"machine"}', fields: [JSON_TYPE] }),
    ask('POST', '/containers/create', { body: '{}', fields: [] }),
    create('13\r\n{"Image":"nobody"} \r\n0\r\n\r\n', 'Transfer-Encoding: chunked'),
    create('13;x=y\r\n{"Image":"nobody"} \r\n0\r\nT: t\r\n\r\n', 'Transfer-Encoding: chunked', 'Trailer: T'),
    whole('GET /_ping HTTP/1.0\r\n\r\n'),
    whole('GET /_ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'),
    whole('GET /containers/json HTTP/1.0\r\n\r\n'),
    whole('GET /_ping HTTP/1.1\r\n\r\n'),
    whole('GET /_ping HTTP/1.1\nHost: d\n\n'),
    whole('GET /_ping HTTP/1.1\r\nHost: d\r\n folded\r\n\r\n'),
    whole('GET /_ping HTTP/1.1\r\nHost : d\r\n\r\n'),
    whole('GET /_ping HTTP/1.1\r\nHost: d\r\nno colon\r\n\r\n'),
    whole('GET /_ping HTTP/1.1\r\nHost: d\r\nHost: e\r\n\r\n'),
    whole('GET /_ping HTTP/1.1\r\nHost: \r\n\r\n'),
    whole('GET /_ping HTTP/2.0\r\n\r\n'),
    whole('GET  /_ping HTTP/1.1\r\nHost: d\r\n\r\n'),
    whole('GET /_ping\r\n\r\n'),
    whole('\r\nGET /_ping HTTP/1.1\r\nHost: d\r\n\r\n'),
    whole('garbage'),
    whole('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
    whole('GET http://docker/_ping HTTP/1.1\r\nHost: d\r\n\r\n'),
    whole('POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}'),
    whole('POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: x\r\n\r\n{}'),
    whole('POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: -1\r\n\r\n{}'),
    whole('POST /containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip\r\n\r\n{}'),
    whole('POST /containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n'),
    whole(`POST /containers/create HTTP/1.1\r\nHost: d\r\n${JSON_TYPE}\r\nContent-Length: 50\r\n\r\n{"Image":`),
    whole(`POST /containers/create HTTP/1.1\r\nHost: d\r\n${JSON_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`),
    whole(`POST /containers/create HTTP/1.1\r\nHost: d\r\n${JSON_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"Im`),
    whole('POST /containers/nobody/start HTTP/1.1\r\nHost: d\r\nContent-Length: 9\r\n\r\n{}'),
    whole('POST /containers/nobody/stop HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{'),
    whole('GET /containers/json HTTP/1.1\r\nHost: d\r\nContent-Length: 9\r\n\r\n{}'),
    whole('POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 50\r\n\r\nshort'),
    whole(`GET /_ping HTTP/1.1\r\nHost: d\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`),
    whole(`GET /_ping HTTP/1.1\r\nHost: d\r\nX: ${'x'.repeat(1_200_000)}\r\n\r\n`),
    ...[
      '/containers/nobody/start',
      '/containers/nobody/stop',
      '/containers/create',
      '/exec/nobody/start',
      '/commit',
    ].map(
      (path): Dialogue => ({
        ...talk(
          head(`POST ${path}`, 'Expect: 100-continue', JSON_TYPE, 'Content-Length: 2', 'Connection: close'),
          '{}',
        ),
        name: `expect ${path}`,
      }),
    ),
    {
      ...talk(
        head('POST /containers/create', 'Expect: 100-continue', JSON_TYPE, 'Content-Length: 2', 'Connection: close'),
        /100 Continue/,
        '{}',
      ),
      name: 'expect, and wait for it',
    },
    { ...talk(head('POST /containers/create', 'Expect: tea', 'Content-Length: 2', 'Connection: close'), '{}') },
    {
      ...talk(
        head('GET /_ping') + head('HEAD /_ping') + head('GET /containers/json') + head('GET /x', 'Connection: close'),
      ),
      name: 'four requests in one piece',
    },
    {
      ...talk(
        head('GET /containers/json') + head('POST /containers/nobody/start') + head('GET /_ping', 'Connection: close'),
      ),
      name: 'three that Slipway reads in one piece',
    },
    { ...talk(...[...head('GET /_ping', 'Connection: close')]), name: 'a head octet for octet' },
  ];
}

/** What Slipway writes into a request: the label, and the ports that it chose. */
const OURS = [
  /"Labels":\{(?:"internal\.docker\.slipway\.port-bindings":"(?:[^"\\]|\\.)*")?\}/g,
  /Transfer-Encoding: chunked|Content-Length: <its length>/g,
  /"(?:HostPort|PublicPort)":"?\d*"?/g,
  /(?<="(?:HostIp|IP)":)"::"/g,
];

function publishing(): Interaction[] {
  const make = (name: string, ports: object, host: object = {}): Ask =>
    post(
      `/containers/create?name=${name}`,
      shell(
        'exec sleep 600',
        { ExposedPorts: Object.fromEntries(Object.keys(ports).map((key) => [key, {}])) },
        {
          PortBindings: ports,
          ...host,
        },
      ),
    );
  const each: [string, object, object?][] = [
    ['fixed', { '80/tcp': [{ HostPort: '28080' }] }],
    ['zeros', { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '28081' }] }],
    ['udp', { '53/udp': [{ HostPort: '28053' }] }],
    ['two', { '80/tcp': [{ HostPort: '28082' }, { HostPort: '28083' }], '81/tcp': [{ HostPort: '28084' }] }],
    ['nulls', { '80/tcp': null }],
    ['none', { '80/tcp': [] }],
    ['hostnet', { '80/tcp': [{ HostPort: '28085' }] }, { NetworkMode: 'host' }],
    ['nonet', { '80/tcp': [{ HostPort: '28086' }] }, { NetworkMode: 'none' }],
    ['random', { '80/tcp': [{ HostPort: '' }] }],
  ];
  return [
    ...each.flatMap(([name, ports, host]) => [
      make(name, ports, host),
      post(`/containers/${name}/start`),
      get(`/containers/${name}/json`, { mask: OURS }),
      get('/containers/json', { mask: OURS, anyOrder: true }),
      post(`/containers/${name}/stop?t=0`),
      get(`/containers/${name}/json`, { mask: OURS }),
      remove(`/containers/${name}`),
    ]),
    make('first', { '80/tcp': [{ HostPort: '28090' }] }),
    make('second', { '80/tcp': [{ HostPort: '28090' }] }),
    post('/containers/first/start'),
    post('/containers/second/start'),
    remove('/containers/first?force=1'),
    post('/containers/second/start'),
    remove('/containers/second?force=1'),
  ];
}

function takenOver(): Interaction[] {
  const attach = '/containers/cat/attach?stream=1&stdin=1&stdout=1&stderr=1';
  const started = (path: string, ...fields: readonly string[]): string =>
    `${head(`POST ${path}`, JSON_TYPE, 'Content-Length: 2', ...fields)}{}`;
  const exec = (name: string, Cmd: readonly string[], more: object = {}): Ask =>
    post(
      '/containers/loop/exec',
      { AttachStdin: true, AttachStdout: true, AttachStderr: true, Cmd, ...more },
      { keep: [name, /"Id":"([0-9a-f]+)"/] },
    );
  const begins = (line: string, ...fields: readonly string[]): string => head(line, ...fields);
  return [
    post('/containers/create?name=loop', shell('echo first; echo second >&2; exec sleep 600')),
    post('/containers/loop/start'),
    ...['/v1.24', '/v1.41', ''].flatMap((v) => [
      exec('cat', ['cat']),
      {
        ...talk(started(`${v}/exec/{cat}/start`, ...UPGRADE), /101 UPGRADED[\s\S]*\r\n\r\n/, 'stdin', 'end'),
        name: `${v} exec 101`,
      },
      exec('cat', ['cat']),
      { ...talk(started(`${v}/exec/{cat}/start`), /200 OK[\s\S]*\r\n\r\n/, 'stdin', 'end'), name: `${v} exec 200` },
      exec('both', ['sh', '-c', 'echo out; sleep 0.2; echo err >&2; exit 3']),
      { ...talk(started(`${v}/exec/{both}/start`, ...UPGRADE)), name: `${v} exec that ends by itself` },
      get(`${v}/exec/{both}/json`),
      exec('tty', ['sh', '-c', 'stty -echo; read line; echo "got $line"'], { Tty: true }),
      {
        ...talk(
          `${head(`POST ${v}/exec/{tty}/start`, JSON_TYPE, 'Content-Length: 12', ...UPGRADE)}{"Tty":true}`,
          /101 UPGRADED[\s\S]*\r\n\r\n/,
          'line\n',
        ),
        name: `${v} exec with a terminal`,
        // The terminal repeats the line, unless stty was quicker.
        mask: [/(?:line\r\n)*got line\r\n/g],
      },
      exec('quiet', ['true']),
      post(`${v}/exec/{quiet}/start`, { Detach: true }),
      post(`${v}/exec/nobody/resize?h=1&w=1`),
    ]),
    exec('old', ['cat']),
    {
      ...talk(
        'POST /exec/{old}/start HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}',
        /\r\n\r\n/,
        'x',
        'end',
      ),
      name: 'exec by HTTP/1.0',
    },
    exec('nobody', ['no-such-program']),
    { ...talk(started('/exec/{nobody}/start', ...UPGRADE)), name: 'exec of no program' },
    post('/containers/create?name=cat', shell('exec cat', { OpenStdin: true, StdinOnce: true, AttachStdin: true })),
    {
      ...talk(begins('POST /containers/cat/attach?stream=1&stdout=1', ...UPGRADE), /101[\s\S]*\r\n\r\n/, 'leave'),
      name: 'attach before the start, and away again',
    },
    post('/containers/cat/start'),
    {
      ...talk(begins(`POST ${attach}`, ...UPGRADE), /101[\s\S]*\r\n\r\n/, 'one ', /one /, 'two', 'end'),
      name: 'attach with stdin to its end',
    },
    post('/containers/cat/wait'),
    get('/containers/cat/logs?stdout=1'),
    { ...talk(begins('POST /containers/cat/attach?logs=1&stdout=1', ...UPGRADE)), name: 'attach for the logs' },
    { ...talk(begins('POST /containers/nobody/attach?stream=1', 'Connection: close, Upgrade', 'Upgrade: tcp'), 'end') },
    {
      ...talk(begins('POST /containers/loop/attach?stream=1&stdout=1'), /200 OK[\s\S]*\r\n\r\n/, 'leave'),
      name: 'attach without Upgrade',
    },
    {
      ...talk(begins('GET /containers/loop/logs?follow=1&stdout=1&stderr=1'), /second\n/, 'leave'),
      name: 'logs -f',
      anyOrder: true,
    },
    { ...talk(begins('GET /containers/loop/logs?tail=x&stdout=1', 'Connection: close')) },
    { ...talk(begins('POST /containers/loop/wait', 'Connection: close'), 'end'), name: 'wait, called off' },
    {
      ...talk(begins('POST /containers/loop/wait?condition=next-exit'), /200 OK[\s\S]*\r\n\r\n/, 'leave'),
      name: 'wait',
    },
    { ...talk(begins('GET /events'), /200 OK[\s\S]*\r\n\r\n/, 'leave'), name: 'events, left' },
    { ...talk(begins('GET /events'), /200 OK[\s\S]*\r\n\r\n/, 'end'), name: 'events, half-closed' },
    {
      ...talk(
        begins(
          'GET /containers/loop/attach/ws?stream=1&stdout=1&logs=1',
          ...['Connection: Upgrade', 'Upgrade: websocket', 'Origin: http://docker'],
          ...['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='],
        ),
        /101[\s\S]*\r\n\r\n/,
        'leave',
      ),
      name: 'attach by WebSocket',
      mask: [/\r\n\r\n[\s\S]*/g],
    },
    ...['/session', '/grpc', '/v1.41/session', '/v1.41/grpc'].map(
      (path): Dialogue => ({
        ...talk(
          `POST ${path} HTTP/1.1\r\nHost: \r\nConnection: Upgrade\r\nUpgrade: h2c\r\nX-Docker-Expose-Session-Uuid: ${path.replaceAll('/', '')}\r\nX-Docker-Expose-Session-Name: n\r\nX-Docker-Expose-Session-Sharedkey: \r\nX-Docker-Expose-Session-Grpc-Method: /a/b\r\nX-Docker-Expose-Session-Grpc-Method: /c/d\r\n\r\n`,
          ...(path.endsWith('session') ? [/PRI \* HTTP\/2\.0\r\n\r\nSM\r\n\r\n/] : [/101[\s\S]*\r\n\r\n/]),
          'leave',
        ),
        name: path,
        mask: [/(?<=SM\r\n\r\n)[\s\S]*/g, /(?<=Upgrade: h2c\r\n\r\n)(?!PRI)[\s\S]*/g],
      }),
    ),
    { ...talk(begins('POST /session', 'Connection: close'), 'end') },
    remove('/containers/cat'),
    remove('/containers/loop?force=1'),
  ];
}

/** A tar archive of one file. */
function tarOf(name: string, content: string): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write('0', 156);
  header.write('ustar\0', 257);
  header.write('00', 263);
  const sum = header.reduce((total, octet) => total + octet, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
  body.write(content);
  return Buffer.concat([header, body, Buffer.alloc(1024)]);
}

function images(): Interaction[] {
  const tar = ['Content-Type: application/x-tar'];
  const chunked = (bytes: Buffer): Buffer =>
    Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n0\r\n\r\n')]);
  return [
    post('/images/create?fromSrc=-&repo=imported&message=m', undefined, {
      body: tarOf('file', 'content'),
      fields: tar,
    }),
    get('/images/imported/json'),
    get('/images/imported/history'),
    get('/images/json', { anyOrder: true }),
    post('/images/imported/tag?repo=again&tag=1'),
    post('/images/imported/tag?repo=NO&tag=1'),
    get('/images/again:1/get', { alone: true }),
    get('/images/get?names=imported&names=machine', { alone: true }),
    get('/images/nobody/get'),
    post('/images/load', undefined, { body: tarOf('nothing', 'x'), fields: tar }),
    post('/images/load', undefined, { body: Buffer.from('no tar'), fields: tar }),
    post('/images/load', undefined, {
      body: chunked(tarOf('nothing', 'x')),
      fields: [...tar, 'Transfer-Encoding: chunked'],
    }),
    get('/images/search?term=x', { mask: [/"message":"[^"]*"/g] }),
    get('/images/search'),
    post('/images/create?fromImage=127.0.0.1:1/nobody&tag=x', undefined, { mask: [/"message":"[^"]*"/g] }),
    post('/images/imported/push', undefined, { fields: ['X-Registry-Auth: e30='] }),
    post('/images/imported/push?tag=x', undefined, {
      fields: ['X-Registry-Auth: e30='],
      mask: [/docker\.io\S*[\s\S]*/g],
    }),
    post('/build?t=built&q=0', undefined, {
      body: tarOf('Dockerfile', 'FROM machine\nLABEL a=b\nENV c=d\n'),
      fields: tar,
    }),
    post('/build?q=1', undefined, { body: tarOf('Dockerfile', 'FROM machine\nLABEL a=b\n'), fields: tar }),
    post('/build', undefined, { body: tarOf('Dockerfile', 'FRUM machine\n'), fields: tar }),
    post('/build', undefined, { body: tarOf('Wrong', 'FROM machine\n'), fields: tar }),
    post('/build', undefined, { body: Buffer.from('no tar'), fields: tar }),
    post('/build?dockerfile=../x', undefined, { body: tarOf('Dockerfile', 'FROM machine\n'), fields: tar }),
    post('/build?t=chunks', undefined, {
      body: chunked(tarOf('Dockerfile', 'FROM machine\nLABEL e=f\n')),
      fields: [...tar, 'Transfer-Encoding: chunked'],
    }),
    post('/build/prune', undefined, { mask: [/"SpaceReclaimed":\d+/g] }),
    post('/build/cancel?id=x'),
    post('/containers/create?name=files', shell('true')),
    ask('PUT', '/containers/files/archive?path=/tmp', { body: tarOf('put', 'content'), fields: tar }),
    ask('PUT', '/containers/files/archive?path=/nowhere', { body: tarOf('put', 'content'), fields: tar }),
    ask('PUT', '/containers/files/archive?path=/tmp', { body: Buffer.from('no tar'), fields: tar }),
    get('/containers/files/archive?path=/tmp/put'),
    ask('HEAD', '/containers/files/archive?path=/tmp/put', { mask: [/"mode":\d+/g] }),
    get('/containers/files/archive?path=/nowhere'),
    get('/containers/files/changes'),
    post('/commit?container=files&repo=committed&comment=c', {}),
    post('/commit?container=nobody', {}),
    get('/images/committed/history'),
    remove('/containers/files'),
    post('/containers/prune'),
    ...['committed', 'chunks', 'built', 'again:1', 'imported', 'nobody'].map((name) =>
      ask('DELETE', `/images/${name}`, { anyOrder: true }),
    ),
    post(`/images/prune?filters=${encodeURIComponent('{"dangling":["true"]}')}`, undefined, {
      anyOrder: true,
      mask: [/"SpaceReclaimed":\d+/g],
    }),
  ];
}

function networksAndVolumes(v: string): Interaction[] {
  return [
    post(`${v}/networks/create`, { Name: 'own', CheckDuplicate: true, IPAM: { Config: [{ Subnet: '10.77.0.0/24' }] } }),
    post(`${v}/networks/create`, { Name: 'own', CheckDuplicate: true }),
    get(`${v}/networks/own`),
    post(`${v}/containers/create?name=member`, shell('exec sleep 600')),
    post(`${v}/containers/member/start`),
    post(`${v}/networks/own/connect`, { Container: 'member', EndpointConfig: { Aliases: ['a'] } }),
    post(`${v}/networks/own/connect`, { Container: 'member' }),
    get(`${v}/networks/own`),
    get(`${v}/containers/member/json`),
    remove(`${v}/networks/own`),
    post(`${v}/networks/own/disconnect`, { Container: 'member' }),
    post(`${v}/networks/own/disconnect`, { Container: 'member' }),
    remove(`${v}/containers/member?force=1`),
    remove(`${v}/networks/own`),
    post(`${v}/networks/prune`),
    post(`${v}/volumes/create`, { Name: 'data', Labels: { a: 'b' } }),
    post(`${v}/volumes/create`, { Name: '!!' }),
    get(`${v}/volumes`),
    get(`${v}/volumes/data`),
    remove(`${v}/volumes/data`),
    remove(`${v}/volumes/data`),
    post(`${v}/volumes/prune`),
  ];
}

function commandLine(): Interaction[] {
  const run = (line: string, args = '', more: Partial<CommandLine> = {}): CommandLine => ({
    kind: 'cli',
    args: [
      'run',
      ...args.split(' ').filter((arg) => arg !== ''),
      '--pull=never',
      '-v/usr:/usr:ro',
      'machine',
      'sh',
      '-c',
      line,
    ],
    ...more,
  });
  const classic = { env: { DOCKER_BUILDKIT: '0' } };
  const big = Buffer.alloc(3_000_000, 'slipway ');
  return [
    docker('version', { mask: [/Built:.*/g] }),
    docker('ps -a'),
    docker('images -q'),
    docker('run --rm nobody', { mask: [/docker: [\s\S]*/g] }),
    run('echo out; echo err >&2; exit 7', '--rm'),
    run('cat', '--rm -i', { stdin: 'stdin to its end' }),
    run('cat', '--rm -i', { stdin: big, binary: true }),
    run('wc -c; echo after the end', '--rm -i', { stdin: big }),
    run('head -c 3000000 /dev/zero', '--rm', { binary: true }),
    run('exit 0', '--rm --network=none'),
    run('exec sleep 600', '-d --name=long'),
    docker('exec long echo x'),
    docker('exec -i long cat', { stdin: big, binary: true }),
    docker('exec -i long sh -c read\\ x;echo\\ $x', { stdin: 'a\nb\n' }),
    docker('exec long no-such-program'),
    docker('exec nobody true'),
    docker('cp long:/etc/nsswitch.conf -', { binary: true }),
    docker('cp - long:/tmp', { stdin: tarOf('put', 'content') }),
    docker('exec long cat /tmp/put'),
    docker('cp long:/nowhere -'),
    docker('logs long'),
    docker('inspect long --format {{.State.Status}}'),
    docker('port long'),
    docker('diff long'),
    docker('top long -o pid,comm', { mask: [/\d+/g] }),
    docker('stats --no-stream long', { mask: FIGURES }),
    docker('pause long'),
    docker('unpause long'),
    docker('rename long longer'),
    docker('stop -t 0 longer'),
    docker('start longer'),
    docker('restart -t 0 longer'),
    docker('kill longer'),
    docker('wait longer'),
    docker('rm longer'),
    docker('rm longer'),
    run('for i in 1 2 3; do echo $i; sleep 0.1; done', '-d --name=count'),
    docker('logs -f count'),
    docker('rm -f count'),
    docker('create -i --name=cat -v/usr:/usr:ro machine cat'),
    docker('start -ai cat', { stdin: 'through start' }),
    docker('rm cat'),
    { kind: 'cli', args: ['build', '-t', 'built', '-'], stdin: 'FROM machine\nLABEL x=y\n', ...classic },
    { kind: 'cli', args: ['build', '-'], stdin: 'FRUM machine\n', ...classic },
    docker('save built', { binary: true }),
    docker('load', { stdin: Buffer.from('no tar') }),
    docker('import - imported', { stdin: tarOf('file', 'content') }),
    docker('history -q imported'),
    docker('tag imported again'),
    docker('rmi again imported built', { anyOrder: true }),
    docker('network ls -q'),
    docker('network create --subnet 10.78.0.0/24 n'),
    docker('network rm n'),
    docker('volume create v'),
    docker('volume rm v'),
    docker('system df', { mask: [/\d[\d.]*[kMG]?B/g] }),
    docker('service ls'),
    docker('search x', { mask: [/Error[\s\S]*/g] }),
    docker('events --since 1 --until 2'),
  ];
}
