import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Place } from '../support/dns-host.ts';
import { canRunDockerd, Dockerd } from '../support/dockerd.ts';
import { DockerLeg, type Interaction } from '../support/docker-transcript.ts';
import { canRunGuests, Slipway } from '../support/slipway.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { interactionGroups } from './docker-interactions.ts';

/*
 * Each interaction with a fresh engine twice: straight, and through Slipway. What the client sees is the same, but for
 * ids, times, and what Slipway changes on purpose (docs/decisions/0061), which the tables mask by name.
 */

/** A real dockerd in a guest. `proxied` is Slipway's socket for it. */
async function engine(t: TestContext): Promise<{ direct: string; proxied: string }> {
  const slipway = await Slipway.start(t, {});
  const guest = new Place('guest', `/proc/${slipway.guestPid}`);
  const dockerd = await Dockerd.start(t, guest, { resolvConf: 'nameserver 127.0.0.1\n' });
  const direct = `${dockerd.root}/run/docker.sock`;
  const proxied = join(temporaryFolder('docker-differential'), 'docker.sock');
  await slipway.ask({ ask: 'docker', engine: direct, socket: proxied });
  await slipway.hear((said) => said.event === 'engine' && said.why === undefined);
  return { direct, proxied };
}

test('what clients see of the engine is the same straight and through Slipway', { timeout: 600_000 }, async (t) => {
  if (!canRunGuests(t) || !canRunDockerd(t)) return;
  const [one, other] = await Promise.all([engine(t), engine(t)]);
  const [direct, proxied] = [new DockerLeg(one.direct), new DockerLeg(other.proxied)];
  t.after(() => {
    direct.close();
    proxied.close();
  });
  let count = 0;
  for (const [group, interactions] of Object.entries(interactionGroups())) {
    await t.test(group, { timeout: 120_000 }, async () => {
      const differences: string[] = [];
      for (const interaction of interactions) {
        count++;
        const [expected, seen] = await Promise.all([direct.run(interaction), proxied.run(interaction)]);
        if (expected !== seen) differences.push(`${nameOf(interaction)}\n${difference(expected, seen)}`);
      }
      assert.equal(differences.join('\n\n'), '');
    });
  }
  assert.ok(count >= 300, `${count} interactions`);
});

function nameOf(interaction: Interaction): string {
  if (interaction.name !== undefined) return interaction.name;
  if (interaction.kind === 'cli') return `docker ${interaction.args.join(' ')}`;
  if (interaction.kind === 'ask') return `${interaction.method} ${interaction.path}`;
  return String(interaction.steps[0]).split('\r\n')[0]!;
}

/** The lines around the first that differ. */
function difference(direct: string, proxied: string): string {
  const [a, b] = [direct, proxied].map((text) => text.replaceAll(',"', ',\n"').split('\n')) as [string[], string[]];
  const at = a.findIndex((line, index) => line !== b[index]);
  const from = at < 0 ? a.length : at;
  const some = (lines: string[]): string => JSON.stringify(lines.slice(Math.max(0, from - 1), from + 3).join('\n'));
  return `  direct  ${some(a).slice(0, 600)}\n  proxied ${some(b).slice(0, 600)}`;
}
