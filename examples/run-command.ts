// A command whose only network is this one, as with `slipway run`: node run-command.ts curl -sI http://example.org
// Needs Linux with /dev/net/tun. What happens on the network goes to standard error.
import { SlipwayError, startNetwork } from 'slipway';

const command = process.argv.slice(2);
try {
  const network = await startNetwork({ network: { mtu: 65_520 } });
  network.watch((event) => {
    if (event.type === 'guest') console.error(`guest ${event.name} ${event.change}`);
    if (event.type === 'forward') console.error(`forward ${event.forward.id} ${event.forward.state}`);
  });
  try {
    await network.publish('127.0.0.1:0:8080');
    const guest = await network.runCommand(command.length > 0 ? command : ['cat', '/etc/resolv.conf']);
    process.exitCode = await guest.status;
  } finally {
    await network.stop();
  }
} catch (error) {
  if (!(error instanceof SlipwayError)) throw error;
  console.error(`${error.code}: ${error.message}\n${error.hint}`);
  process.exitCode = 1;
}
