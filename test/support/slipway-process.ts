/**
 * A Slipway for the tests with real guests: the whole network as `run` and `up` start it, in a process of its own, that
 * also says what it counted. argv[2]: `SlipwaySetup` as JSON. Speaks one JSON line per event; the line `status` on its
 * standard input is answered by a picture of the network, `throw` and `spin` make its loop do so, a line of JSON
 * (`ForwardAsked`) is something to do with forwards, and the end of that input ends it.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { startCommandGuest } from '../../src/embedding/command-guest.ts';
import { firstGuestAddress } from '../../src/embedding/guest-addresses.ts';
import { mergeConfig, resolveConfig } from '../../src/config/config.ts';
import type { ForwardSpec, ServiceForward } from '../../src/config/forward.ts';
import { parseListenUrl } from '../../src/config/listen.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { startNetwork } from '../../src/control/start-network.ts';
import { DockerProxy } from '../../src/docker/docker-proxy.ts';
import { ForwardedPorts } from '../../src/docker/ports/forwarded-ports.ts';
import { hostFreePorts } from '../../src/docker/ports/free-ports.ts';
import { connectUnix } from '../../src/host/unix-connection.ts';

export interface SlipwaySetup {
  /** Bytes. */
  readonly mtu: number;
  /** Whether a namespace guest on a tap is part of it. */
  readonly guest: boolean;
  readonly listen: readonly string[];
  readonly hostLoopback: boolean;
  readonly engine: 'epoll' | 'node';
  /** A configuration file's text; what the setup says besides wins. */
  readonly config?: string;
}

/** Answered by the event `answer` of the same number, with the result or the error that a person would see. */
export type ForwardAsked = { readonly number: number } & (
  | { readonly ask: 'add'; readonly spec: ForwardSpec }
  | { readonly ask: 'remove'; readonly id: string; readonly connections: boolean }
  | { readonly ask: 'list' }
  | { readonly ask: 'add-service'; readonly service: ServiceForward }
  /** A Docker API proxy at `socket`, for the engine that listens at `engine`. */
  | { readonly ask: 'docker'; readonly engine: string; readonly socket: string }
);

const setup = JSON.parse(process.argv[2]!) as SlipwaySetup;
const say = (event: string, facts: object = {}): void =>
  void process.stdout.write(`${JSON.stringify({ event, ...facts })}\n`);
const log =
  (level: string) =>
  (message: string): void =>
    say('log', { level, message });

const network = await startNetwork(
  resolveConfig(
    mergeConfig(parseConfig(setup.config ?? '', 'the test’s configuration'), {
      network: { mtu: setup.mtu },
      hostLoopback: setup.hostLoopback,
      engine: setup.engine,
    }),
  ),
  { info: log('info'), warn: log('warn'), error: log('error') },
  (error) => {
    say('fatal', { message: error.message });
    process.exit(70);
  },
);
network.forwards.onChange((forward, removed) => say('forward', { forward, removed }));
createInterface({ input: process.stdin })
  .on('line', (line) => {
    if (line.startsWith('{')) void answer(JSON.parse(line) as ForwardAsked);
    else if (line === 'throw' || line === 'spin') network.control.fault(line);
    else void network.status().then((status) => say('status', status));
  })
  .on('close', () => void network.stop().then(() => process.exit(0)));

for (const text of setup.listen) {
  const url = parseListenUrl(text);
  if (typeof url === 'string') throw new Error(`expected ${url}`);
  const { port } = await network.control.attachments.listen(url);
  say('listening', { port });
}
if (setup.guest) {
  // The guest's own first line shows that the command runs, which is when its namespaces can be entered.
  const idle = `echo '{"event":"guest"}'; exec sleep infinity`;
  await startCommandGuest(network, firstGuestAddress(network.config), ['sh', '-c', idle], { forwardSignals: false });
}
say('up');

async function serveEngine({ engine, socket }: { readonly engine: string; readonly socket: string }): Promise<true> {
  const proxy = new DockerProxy({
    dial: () => connectUnix(engine),
    ports: new ForwardedPorts(network.forwards, { guest: undefined, bind: 'all' }),
    free: hostFreePorts,
    reachable: (why) => say('engine', { why }),
  });
  const server = createServer({ allowHalfOpen: true }, (client) => proxy.serve(client));
  await once(server.listen(socket), 'listening');
  proxy.start();
  return true;
}

async function answer(asked: ForwardAsked): Promise<void> {
  const { number } = asked;
  try {
    say('answer', { number, result: await act(asked) });
  } catch (error) {
    const { code, message, hint } = error as { code?: string; message: string; hint?: string };
    say('answer', { number, error: { code, message, hint } });
  }
}

async function act(asked: ForwardAsked): Promise<unknown> {
  const { forwards } = network;
  switch (asked.ask) {
    case 'add':
      return await forwards.open(asked.spec);
    case 'remove':
      return await forwards.close(asked.id, { connections: asked.connections });
    case 'list':
      await forwards.refresh();
      return forwards.list();
    case 'add-service':
      await forwards.addService(asked.service);
      return true;
    case 'docker':
      return await serveEngine(asked);
  }
}
