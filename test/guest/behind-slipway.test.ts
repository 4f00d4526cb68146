import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { bundleGuest } from '../../scripts/guest-bundle.ts';
import { slipway } from '../cli/slipway.ts';
import { needs, needsTun } from '../support/needs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** Arguments: a fifo, then the command. Waits for its last line of the start, then asks it, then ends it. */
const GUEST = `
fifo=$1; shift
mkfifo "$fifo"
"$@" > "$fifo" & dns=$!
exec 3< "$fifo"
until read -r line <&3 && case $line in process*) true;; *) false;; esac; do echo "$line"; done
for name in host.docker.internal docker.for.mac.localhost localhost; do
  dig +tries=1 +short @127.0.0.1 $name; dig +tries=1 +tcp +short @127.0.0.1 $name
done
dig +tries=1 @127.0.0.1 nobody.docker.internal | grep -o 'status: [A-Z]*'
kill $dns; wait $dns; echo "ended $?"
`;

test('behind a real Slipway the bundle finds the gateway by itself, and both its servers', {
  timeout: 60_000,
}, async (t) => {
  if (!needs(t, 'dig', 'unshare') || !needsTun(t)) return;
  const folder = temporaryFolder('guest');
  const bundle = path.join(folder, 'guest.mjs');
  await bundleGuest(bundle);
  const command = [process.execPath, bundle, 'dns', '--listen', '127.0.0.1:53'];
  const args = ['run', '--', 'sh', '-c', GUEST, 'sh', path.join(folder, 'lines'), ...command];
  const { status, stdout, stderr } = await slipway(t, ...args);
  assert.deepEqual(stdout.split('\n'), [
    'docker.internal containers.internal lima.internal docker.for.mac.* docker.for.win.* → 192.168.65.1:5301, all else → 192.168.65.1:53',
    'listening at 127.0.0.1:53, UDP and TCP',
    ...['192.168.65.254', '192.168.65.254', '192.168.65.254', '192.168.65.254', '127.0.0.1', '127.0.0.1'],
    'status: NXDOMAIN',
    'ended 0',
    '',
  ]);
  assert.deepEqual([status, stderr], [0, '']);
});
