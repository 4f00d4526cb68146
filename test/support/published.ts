import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { FORWARD_DEFAULTS, forwardId, type ForwardSpec, type ForwardStatus } from '../../src/config/forward.ts';
import { parsePortSpec } from '../../src/config/port-spec.ts';
import { Mismatch } from '../../src/config/values.ts';
import { type Daemon, serve } from './dns-host.ts';
import { createNamespace, type TestNamespace } from './namespace.ts';
import { Slipway, type SlipwayOptions } from './slipway.ts';
import { execute, within } from './sockets.ts';
import { temporaryFolder } from './temporary-folder.ts';

/*
 * Published ports between two networks of the test: `home`, which has nothing but loopback and is where Slipway and the
 * clients are, and a guest behind it. Both are empty, so tests name the ports they want.
 */

type Disposer = Pick<TestContext, 'after'>;

export interface Publishing {
  readonly home: TestNamespace;
  readonly slipway: Slipway;
}

/** A Slipway in a network of its own, with a guest unless told. */
export async function publishing(t: Disposer, options: SlipwayOptions = {}): Promise<Publishing> {
  const home = options.namespace ?? createNamespace(t, 'home');
  return { home, slipway: await Slipway.start(t, { ...options, namespace: home }) };
}

/** What `docker run -p` takes ("8080:80", "127.0.0.1:53:53/udp"), and what it cannot say. */
export function forwardSpec(published: string, more: Partial<ForwardSpec> = {}): ForwardSpec {
  const ends = parsePortSpec(published);
  assert.ok(!(ends instanceof Mismatch) && ends.length === 1, published);
  return { ...FORWARD_DEFAULTS, ...ends[0]!, owner: 'api', ...more };
}

/** A socket of the host to a guest's port. */
export function socketSpec(path: string, port: number): ForwardSpec {
  const ends = { host: { kind: 'unix', path }, guest: { kind: 'port', address: undefined, port }, count: 1 } as const;
  return { ...FORWARD_DEFAULTS, ...ends, protocol: 'unix', owner: 'api' };
}

/** Publishes; rejects with the error that a person would see. */
export function expose(
  slipway: Slipway,
  published: string | ForwardSpec,
  more?: Partial<ForwardSpec>,
): Promise<ForwardStatus> {
  const spec = typeof published === 'string' ? forwardSpec(published, more) : published;
  return slipway.ask({ ask: 'add', spec });
}

export function unexpose(slipway: Slipway, id: string, connections = false): Promise<boolean> {
  return slipway.ask({ ask: 'remove', id, connections });
}

/** All forwards as they stand. */
export function forwardsOf(slipway: Slipway): Promise<readonly ForwardStatus[]> {
  return slipway.ask({ ask: 'list' });
}

/** Waits until the forward is as `wanted` says: it is asked for now, and again whenever one changes. */
export async function forwardIs(
  slipway: Slipway,
  { spec }: Pick<ForwardStatus, 'spec'>,
  wanted: (status: ForwardStatus) => boolean,
): Promise<ForwardStatus> {
  for (;;) {
    const from = slipway.said.length;
    const status = (await forwardsOf(slipway)).find(({ id }) => id === forwardId(spec));
    if (status !== undefined && wanted(status)) return status;
    await slipway.hear((said) => said.event === 'forward', from);
  }
}

export function isListening(slipway: Slipway, forward: Pick<ForwardStatus, 'spec'>): Promise<ForwardStatus> {
  return forwardIs(slipway, forward, ({ state }) => state === 'listening');
}

/** Waits until the forward waits, for a reason like `why`. */
export function isWaiting(slipway: Slipway, forward: Pick<ForwardStatus, 'spec'>, why: RegExp): Promise<ForwardStatus> {
  return forwardIs(slipway, forward, (status) => status.state === 'waiting' && why.test(status.why));
}

/**
 * nginx in the namespace: at 80 "hello" at /, the client's address and port at /who and 4 MiB at /big; at 81
 * what a PROXY header says of them at /who.
 */
export async function nginx(t: Disposer, namespace: TestNamespace): Promise<Daemon> {
  const folder = temporaryFolder('ports');
  const conf = join(folder, 'nginx.conf');
  writeFileSync(join(folder, 'big'), Buffer.alloc(4 << 20, 'slipway '));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (one) => `${one}_temp_path ${folder}/${one};`,
  );
  writeFileSync(
    conf,
    `daemon off; master_process off; user root; pid ${folder}/pid; error_log stderr notice;
events { worker_connections 1024; }
http {
  access_log off; default_type text/plain; ${temporary.join(' ')}
  server {
    listen 80;
    location = / { return 200 "hello"; }
    location = /who { return 200 "$remote_addr $remote_port"; }
    location = /big { root ${folder}; }
  }
  server { listen 81 proxy_protocol; location = /who { return 200 "$proxy_protocol_addr to $proxy_protocol_server_addr:$proxy_protocol_server_port from $remote_addr"; } }
}
`,
  );
  return await serve(t, /using the/, 'nsenter', `--net=${namespace.path}`, '--', 'nginx', '-p', folder, '-c', conf);
}

/** An HTTP server of the namespace that answers `body` and the client's address. */
export function httpServer(
  t: Disposer,
  namespace: TestNamespace | undefined,
  port: number,
  body: string,
  host = '0.0.0.0',
): Promise<void> {
  const server = createHttpServer((request, response) =>
    response.end(`${body} ${request.socket.remoteAddress?.replace('::ffff:', '')}`),
  );
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject).once('listening', resolve);
    within(namespace, () => server.listen(port, host));
  });
}

/** What curl gets in the namespace. */
export async function fetched(t: TestContext, namespace: TestNamespace, ...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await execute(t, namespace, 'curl', '-sS', '--max-time', '20', ...args);
  assert.equal(status, 0, stderr);
  return stdout;
}
