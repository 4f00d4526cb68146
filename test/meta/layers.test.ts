import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

/**
 * Who may import whom. The compiler enforces most of it for the core (project references, no Node types); this table
 * says the rest and gives the reason. A rule is: files under `from` must not import what matches `forbidden`.
 */
const CORE = [
  'env',
  'facts',
  'wire',
  'turn',
  'link',
  'flow',
  'ip',
  'icmp',
  'tcp',
  'udp',
  'forward',
  'dhcp',
  'attachment',
  'network',
  'bridge',
];
const SHELL = [
  'host',
  'services',
  'control',
  'config',
  'docker',
  'cli',
  'guest',
  'helper',
  'memory-guest',
  'api',
  'embedding',
];
/** Lowest first; a layer imports only what stands before it. */
const ORDER = [
  ['env', 'wire'],
  ['facts'],
  ['turn'],
  ['link'],
  ['flow'],
  ['ip'],
  ['icmp'],
  ['tcp', 'udp'],
  ['forward'],
  ['dhcp'],
  ['attachment'],
  ['network'],
  ['bridge'],
];

interface Rule {
  readonly from: string;
  readonly forbidden: RegExp;
  readonly reason: string;
}

const RULES: readonly Rule[] = [
  ...CORE.map((from) => ({
    from,
    forbidden: /^[^.]/,
    reason: 'the core imports no package: one bare import brings the globals of Node back',
  })),
  ...CORE.map((from) => ({
    from,
    forbidden: new RegExp(`^(${SHELL.join('|')})/`),
    reason: 'the core does not know the shell',
  })),
  ...ORDER.flatMap((layer, rank) =>
    layer.map((from) => ({
      from,
      forbidden: new RegExp(
        `^(${
          ORDER.flatMap((above, i) => (i > rank || (i === rank && above.length > 1) ? above : []))
            .filter((name) => name !== from)
            .join('|') || 'nothing'
        })/`,
      ),
      reason: 'imports go down only',
    })),
  ),
  {
    from: 'host',
    forbidden: /^(network|services|control|cli|config|helper|api|guest|dhcp|tcp|udp|icmp|ip)\//,
    reason: 'an engine implements env and knows no protocol and no policy',
  },
  {
    from: 'services',
    forbidden: /^(network|control|cli|host(?!\/files\/))\//,
    reason: 'a service gets small capabilities, never the network; what it keeps in files needs a folder',
  },
  {
    from: 'config',
    forbidden: /^(network|services|control|cli|host)\//,
    reason: 'configuration is text in, a frozen value out',
  },
  {
    from: 'memory-guest',
    forbidden: /^(network|services|control|cli)\//,
    reason: 'a guest knows the network only by its wire',
  },
  {
    from: 'guest',
    forbidden: /^(?!env\/|wire\/|facts\/|services\/dns\/upstream\/|host\/proc\/|guest\/)/,
    reason: 'what runs inside the virtual machine is small: codecs, /proc, and the way to ask a nameserver',
  },
  {
    from: 'helper',
    forbidden:
      /^(?!helper\/|facts\/|host\/namespace\/(libc|scm-rights)\.ts|host\/files\/|host\/ports\/(socket-calls|places|bind-unix|helper-protocol)\.ts)/,
    reason: 'what has a privilege is small: sockets, and nothing of the daemon',
  },
  {
    from: 'docker',
    forbidden: /^(network|control|cli|api|embedding|host)\//,
    reason: 'the engine’s proxy gets connections, ports and the table of forwards; it opens nothing itself',
  },
  { from: 'control', forbidden: /^(api|cli|embedding)\//, reason: 'the command line stands on top' },
  {
    from: 'api',
    forbidden: /^(cli|embedding|host(?!\/files\/)|tcp|udp|ip|icmp|link|flow|attachment|turn|network)\//,
    reason: 'the API speaks to what runs, by small interfaces; it listens itself, and looks after its sockets’ files',
  },
  {
    from: 'api/server',
    forbidden: /^api\/(v1|gvproxy|vpnkit)\//,
    reason: 'what carries requests knows no path',
  },
  {
    from: 'embedding',
    forbidden: /^(cli|tcp|udp|ip|icmp|link|flow|attachment|turn|network)\//,
    reason: 'the library joins what is there, for programs as the command line does for people',
  },
  {
    from: 'cli',
    forbidden: /^(tcp|udp|ip|icmp|link|flow|dhcp|attachment|turn)\//,
    reason: 'the command line holds no logic',
  },
];

const source = fileURLToPath(new URL('../../src/', import.meta.url));

function sources(): { file: string; text: string }[] {
  return readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.includes('wasm/'))
    .map((file) => ({ file, text: readFileSync(path.join(source, file), 'utf8') }));
}

/** What a file imports: paths from `src/` for its own, the bare name for a package. */
function imports(file: string, text: string): string[] {
  const found = [
    ...text.matchAll(
      /^(?:import|export)\b[^'"]*?\bfrom\s*['"]([^'"]+)['"]|^import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm,
    ),
  ];
  return found.map((match) => {
    const name = match[1] ?? match[2] ?? match[3] ?? '';
    return name.startsWith('.') ? path.posix.join(path.posix.dirname(file), name) : name;
  });
}

/** Package imports are compared as ':name', so no folder is mistaken for one. */
function violations(): string[] {
  const problems: string[] = [];
  for (const { file, text } of sources()) {
    const from = file.split('/', 1)[0] ?? '';
    for (const imported of imports(file, text)) {
      const own = /^[a-z-]+\/.*\.ts$/.test(imported) && !imported.startsWith('node:');
      for (const rule of RULES) {
        if (rule.from !== from && !file.startsWith(`${rule.from}/`)) continue;
        const bare = rule.forbidden.source.startsWith('^[^.]');
        if (bare ? !own : own && rule.forbidden.test(imported))
          problems.push(`${file} imports ${imported}: ${rule.reason}`);
      }
      const service = /^services\/([^/]+)\//;
      const [mine, theirs] = [service.exec(file)?.[1], service.exec(imported)?.[1]];
      if (mine !== undefined && theirs !== undefined && mine !== theirs)
        problems.push(`${file} imports ${imported}: services never import each other`);
      if (imported === 'koffi' && from !== 'host') problems.push(`${file} imports koffi: system calls live in host`);
    }
  }
  return problems;
}

test('imports follow the layers', () => {
  assert.deepEqual(violations(), []);
});

/** Each file with those that it leads back to itself by, as 'a.ts → b.ts'; only the imports within the circles. */
function circles(): string[] {
  const all = new Map(sources().map(({ file, text }) => [file, imports(file, text)]));
  // What leads to nothing more, or to which nothing leads, is in no circle.
  for (let before = -1; before !== all.size; ) {
    before = all.size;
    const imported = new Set([...all.values()].flat());
    for (const [file, targets] of all) {
      if (!imported.has(file) || !targets.some((target) => all.has(target))) all.delete(file);
    }
  }
  return [...all].map(([file, targets]) => `${file} → ${targets.filter((target) => all.has(target)).join(', ')}`);
}

test('no file imports itself by way of others, not even types', () => {
  assert.deepEqual(circles(), []);
});

/** The packages that a file brings with it, by way of others too; types and `import()` bring nothing. */
function packagesOf(root: string): ReadonlySet<string> {
  const all = new Map(sources().map(({ file, text }) => [file, text]));
  const [seen, packages] = [new Set<string>(), new Set<string>()];
  const follow = (file: string): void => {
    const text = all.get(file);
    if (seen.has(file) || text === undefined) return;
    seen.add(file);
    for (const [, names = '', from = ''] of text.matchAll(/^(?:import|export)\b([^'"]*?)\bfrom\s*['"]([^'"]+)['"]/gm)) {
      const values = names.replaceAll(/\btype\s+\w+(?:\s+as\s+\w+)?/g, '').replaceAll(/[\s{},]/g, '');
      if (/^\s*type\b/.test(names) || values === '') continue;
      if (from.startsWith('.')) follow(path.posix.join(path.posix.dirname(file), from));
      else packages.add(from);
    }
  };
  follow(root);
  return packages;
}

test('a daemon without a file loads neither zod nor yaml, and none loads fastify before its first client', () => {
  const packages = packagesOf('cli/up.ts');
  assert.ok(packages.has('node:fs'));
  assert.deepEqual(
    ['zod', 'yaml', 'fastify'].filter((name) => packages.has(name)),
    [],
  );
  assert.ok(packagesOf('config/parse.ts').has('zod'));
});

test('the core takes time, chance and a place to speak as arguments', () => {
  const forbidden = /\b(Date\.now|new Date|Math\.random|console\.|performance\.|setTimeout|setInterval|process\.)/;
  const problems: string[] = [];
  for (const { file, text } of sources()) {
    if (!CORE.includes(file.split('/', 1)[0] ?? '')) continue;
    text.split('\n').forEach((line, index) => {
      const code = line.replace(/^\s*\*.*|\/\/.*|\/\*.*?\*\//, '');
      const match = forbidden.exec(code);
      if (match !== null) problems.push(`${file}:${index + 1} uses ${match[1]}`);
    });
  }
  assert.deepEqual(problems, []);
});

test('no folder is named after nothing', () => {
  const vague = new Set(['utils', 'util', 'common', 'helpers', 'lib', 'managers', 'types', 'misc']);
  const folders = new Set(sources().flatMap(({ file }) => path.dirname(file).split('/')));
  assert.deepEqual(
    [...folders].filter((folder) => vague.has(folder)),
    [],
  );
});

test('every folder of src is known to this table', () => {
  const known = new Set([...CORE, ...SHELL, 'bridge', 'helper', 'api']);
  const folders = new Set(
    sources()
      .filter(({ file }) => file.includes('/'))
      .map(({ file }) => file.split('/', 1)[0] ?? ''),
  );
  assert.deepEqual(
    [...folders].filter((folder) => !known.has(folder)),
    [],
  );
});
