import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { resolveConfig } from '../../src/config/config.ts';
import { defaultControlSocket } from '../../src/config/control.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { knownKeys } from '../../src/config/schema.ts';
import { stateFolder } from '../../src/config/state.ts';
import { configurationTable, tableIn } from '../../scripts/configuration-table.ts';

const text = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
const [example = '', lists = ''] = Array.from(text.matchAll(/```yaml\n([\s\S]*?)```/g), (match) => match[1] ?? '');

test('the example of docs/configuration.md is valid and, but for listen, state and control, says the defaults', () => {
  const { listen, state, control, ...shown } = resolveConfig(parseConfig(example, 'docs/configuration.md'));
  const { listen: _, state: none, control: closed, ...defaults } = resolveConfig({});
  assert.equal(listen.length, 2);
  assert.equal(none, '');
  assert.equal(state, stateFolder({ HOME: '/home/me' }));
  assert.deepEqual(closed, { socket: '', tcp: undefined, tokenFile: '' });
  assert.equal(control.socket, defaultControlSocket({ XDG_RUNTIME_DIR: '/run/user/1000' }, 1000, '/tmp'));
  assert.deepEqual(shown, defaults);
});

test('the example of what lists take is valid and leaves out none that takes more than words', () => {
  const { dns, dhcp, forwards, services, docker } = resolveConfig(parseConfig(lists, 'docs/configuration.md'));
  for (const list of [
    dns.upstreams,
    dns.rules,
    dns.hosts,
    dns.zones,
    dhcp.routes,
    dhcp.customOptions,
    forwards,
    services,
    docker,
  ]) {
    assert.ok(list.length > 0);
  }
  assert.equal(dhcp.reservations.length, 3, 'text is two identifiers');
  const types = new Set(dns.zones.flatMap(({ records }) => records.map(({ data }) => data.type)));
  assert.deepEqual([...types].sort(), ['A', 'AAAA', 'CNAME', 'MX', 'NS', 'PTR', 'SRV', 'TXT']);
});

test('the example shows every key', () => {
  const input = parseConfig(example, 'docs/configuration.md') as Record<string, object>;
  assert.deepEqual(Object.keys(input).sort(), [...knownKeys([])].sort());
  for (const section of knownKeys([])) {
    const keys = knownKeys([section]);
    if (keys.length > 0) assert.deepEqual(Object.keys(input[section]!).sort(), [...keys].sort());
  }
});

test('the table of keys is the schema’s: node scripts/configuration-table.ts writes it', () => {
  assert.equal(tableIn(text), configurationTable());
});
