/** `npm start` is `slipway demo`; `npm start -- COMMAND…` is `slipway run -- COMMAND…`. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import path from 'node:path';

const main = path.resolve(import.meta.dirname, '..', 'dist', 'cli', 'main.js');
const given = process.argv.slice(2);
const command = given[0] === '--' ? given.slice(1) : given;
const args = command.length === 0 ? ['demo'] : ['run', '--', ...command];

const child = spawn(process.execPath, [main, ...args], { stdio: 'inherit' });
// A terminal sends its signals to both; what is sent to npm or to this process alone is passed on.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
  });
}
child.on('exit', (code, signal) => process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
