/**
 * What the helper may be: one capability and no way to another, in every thread. It looks before it serves, and there
 * is no way around.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { SlipwayError } from '../facts/errors.ts';

/** CAP_NET_BIND_SERVICE is number 10. */
const NET_BIND_SERVICE: bigint = 1n << 10n;
const SETS = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'];

/** Everything that is wrong with one thread, by its /proc status. */
export function confinementFaults(status: string): string[] {
  const field = (name: string): string => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1] ?? '';
  const set = (name: string): bigint => BigInt(`0x${/^[0-9a-f]+$/.exec(field(name))?.[0] ?? 'ffffffffffffffff'}`);
  const faults = SETS.filter((name) => (set(name) & ~NET_BIND_SERVICE) !== 0n).map(
    (name) => `${name} is ${field(name)}: more than CAP_NET_BIND_SERVICE`,
  );
  if ((set('CapEff') & NET_BIND_SERVICE) === 0n) faults.push('CapEff lacks CAP_NET_BIND_SERVICE');
  if (field('NoNewPrivs') !== '1') faults.push('NoNewPrivs is not set');
  if (!/^\d+(\s+\d+){3}$/.test(field('Uid')) || field('Uid').split(/\s+/).includes('0')) faults.push('it runs as root');
  return faults;
}

/**
 * Returns when every thread of this process is confined; else throws ERR_HELPER_CONFINEMENT, which says what is wrong.
 */
export function assertConfined(): void {
  const folder = '/proc/self/task';
  const faults = readdirSync(folder).flatMap((thread) =>
    confinementFaults(readFileSync(`${folder}/${thread}/status`, 'utf8')),
  );
  if (faults.length === 0) return;
  throw new SlipwayError(
    'ERR_HELPER_CONFINEMENT',
    `the helper refuses to serve like this: ${[...new Set(faults)].join('; ')}`,
    'Let systemd start it (slipway helper install --print), or setpriv: setpriv --reuid <user> --regid <group> --clear-groups ' +
      '--inh-caps -all,+net_bind_service --ambient-caps -all,+net_bind_service --bounding-set -all,+net_bind_service ' +
      '--no-new-privs slipway helper serve --socket <path> --allow-user <name>',
  );
}
