/**
 * A small Slipway for the tests of exits and recovery: starts the network with the engine of argv[2], attaches at the
 * URLs that follow, prints one JSON line when it stands, then does what lines on its standard input say.
 */
import { createInterface } from 'node:readline';
import { resolveConfig } from '../../src/config/config.ts';
import { parseListenUrl } from '../../src/config/listen.ts';
import { NetworkControl } from '../../src/control/network-control.ts';
import { stopOnSignals } from '../../src/control/signals.ts';

const [engine, ...urls] = process.argv.slice(2);
const say = (event: string, facts: object = {}): void =>
  void process.stdout.write(`${JSON.stringify({ event, ...facts })}\n`);
const log =
  (level: string) =>
  (message: string): void =>
    say('log', { level, message });

const control = new NetworkControl({
  config: resolveConfig({}),
  engine: engine === 'node' ? 'node' : 'epoll',
  log: { info: log('info'), warn: log('warn'), error: log('error') },
  onNetworkChange: () => say('network-changed'),
  onFatal: (error) => {
    say('fatal', { code: error.code });
    process.exit(70);
  },
});
stopOnSignals(() => control.stop(), { status: 0 });

const input = createInterface({ input: process.stdin });
input.on('line', (line) => void obey(line));
input.on('close', () => void control.stop().then(() => input.close()));

await control.start();
for (const text of urls) {
  const url = parseListenUrl(text);
  if (typeof url === 'string') throw new Error(`expected ${url}`);
  try {
    const { port } = await control.attachments.listen(url);
    say('listening', { port });
  } catch (error) {
    say('refused', { code: (error as { code?: string }).code });
  }
}
say('up');

async function obey(line: string): Promise<void> {
  switch (line) {
    case 'throw':
    case 'spin':
    case 'block':
      control.fault(line);
      return;
    case 'status':
      say('status', await control.ask('status'));
      return;
    case 'exit':
      process.exit(3);
      break;
    case 'uncaught':
      setImmediate(() => {
        throw new Error('nobody catches this');
      });
      return;
    case 'spin, then exit':
      control.fault('spin');
      setTimeout(() => process.exit(3), 200);
      return;
    case 'block, then exit':
      control.fault('block');
      setTimeout(() => process.exit(3), 200);
      return;
    case 'block, then stop':
      control.fault('block');
      setTimeout(() => void control.stop(), 200);
  }
}
