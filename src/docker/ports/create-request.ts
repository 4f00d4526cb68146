import { isIP } from 'node:net';
import { type Node, type ParseError, parseTree } from 'jsonc-parser';
import { ASKED_LABEL, type AskedBindings } from './asked-label.ts';
import { type Binding, type HostPortWish, isEngineAddress, parseHostPort, parsePortKey } from './binding.ts';

/**
 * The body of `POST /containers/create`, read as the engine reads it: Go compares keys without case, and a second
 * `HostConfig` adds to the first. Changes are spliced in, so that everything else stays as the client wrote it.
 */
export interface CreateRequest {
  /** What the client asks for. */
  readonly wishes: readonly BindingWish[];
  /** The body for these bindings, one for each wish. */
  withBindings(bindings: readonly Binding[]): Buffer;
}

export interface BindingWish {
  readonly protocol: 'tcp' | 'udp';
  readonly containerPort: number;
  readonly hostIp: string;
  readonly hostPort: HostPortWish;
}

interface Found extends BindingWish {
  readonly key: string;
  /** The list of bindings that it stands in. */
  readonly list: Node;
}

const PUBLISHES_NOTHING = /^(host|none|container:.*)$/;

/**
 * Undefined where the body is no JSON object, publishes nothing, or has a binding that is none: it passes as it is, and
 * what is wrong with it is the engine's to say.
 */
export function readCreateRequest(body: Buffer): CreateRequest | undefined {
  const text = body.toString('utf8');
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { disallowComments: true, allowTrailingComma: false });
  if (root?.type !== 'object' || errors.length > 0) return undefined;
  const hosts = members(root, 'hostconfig');
  if (PUBLISHES_NOTHING.test(lastString(hosts, 'networkmode'))) return undefined;
  const wishes = readAllWishes(hosts.flatMap((host) => members(host, 'portbindings')));
  if (wishes === undefined || wishes.length === 0) return undefined;
  return { wishes, withBindings: (bindings) => Buffer.from(spliced(text, root, wishes, bindings)) };
}

function readAllWishes(ports: readonly Node[]): Found[] | undefined {
  const found: Found[] = [];
  for (const [key, list] of ports.flatMap(properties)) {
    const port = parsePortKey(key);
    if (port === undefined || list.type !== 'array') continue;
    for (const node of list.children ?? []) {
      const wish = readWish(node);
      if (wish === undefined) return undefined;
      found.push({ ...port, ...wish, key, list });
    }
  }
  return found;
}

function readWish(node: Node): Pick<BindingWish, 'hostIp' | 'hostPort'> | undefined {
  const texts = ['hostip', 'hostport'].flatMap((name) => members(node, name));
  if (node.type !== 'object' || texts.some(({ type }) => type !== 'string' && type !== 'null')) return undefined;
  const hostIp = lastString([node], 'hostip');
  const hostPort = parseHostPort(lastString([node], 'hostport'));
  return hostPort === undefined || (hostIp !== '' && isIP(hostIp) === 0) ? undefined : { hostIp, hostPort };
}

/** All values in an object whose key is `name` (in lower case), whatever its case. */
function members(object: Node, name: string): Node[] {
  return properties(object).flatMap(([key, value]) => (key.toLowerCase() === name ? [value] : []));
}

function properties(object: Node): [string, Node][] {
  if (object.type !== 'object') return [];
  return (object.children ?? []).flatMap((property): [string, Node][] => {
    const [key, value] = property.children ?? [];
    return key === undefined || value === undefined ? [] : [[String(key.value), value]];
  });
}

/** The last string under that name, as Go's decoder keeps it; '' for none. */
function lastString(objects: readonly Node[], name: string): string {
  const strings = objects.flatMap((object) => members(object, name)).filter((node) => node.type === 'string');
  return (strings.at(-1)?.value as string | undefined) ?? '';
}

interface Edit {
  readonly at: number;
  readonly length: number;
  readonly text: string;
}

/** The body with the bindings in place of the wishes, and the label that keeps what is the host's alone. */
function spliced(text: string, root: Node, wishes: readonly Found[], bindings: readonly Binding[]): string {
  const lists = new Map<Node, Map<string, string>>();
  const asked: AskedBindings = {};
  let isChanged = false;
  for (const [index, { key, list, hostIp, hostPort: wish }] of wishes.entries()) {
    const { hostPort, enginePort } = bindings[index]!;
    asked[key] = [
      ...(asked[key] ?? []),
      { HostIp: hostIp, HostPort: String(hostPort), EnginePort: String(enginePort) },
    ];
    const address = isEngineAddress(hostIp) ? hostIp : '';
    const told = lists.get(list) ?? new Map<string, string>();
    lists.set(
      list,
      told.set(`${address} ${enginePort}`, JSON.stringify({ HostIp: address, HostPort: String(enginePort) })),
    );
    isChanged ||= address !== hostIp || wish.kind !== 'fixed' || wish.port !== enginePort;
  }
  if (!isChanged) return text;
  const edits = [...lists].map(([list, told]): Edit => {
    return { at: list.offset, length: list.length, text: `[${[...told.values()].join(',')}]` };
  });
  return [...edits, labelEdit(root, JSON.stringify(asked))]
    .toSorted((a, b) => b.at - a.at)
    .reduce((done, { at, length, text: put }) => done.slice(0, at) + put + done.slice(at + length), text);
}

/** Adds the label to the last Labels, or gives the request its first. */
function labelEdit(root: Node, value: string): Edit {
  const label = `${JSON.stringify(ASKED_LABEL)}:${JSON.stringify(value)}`;
  const labels = members(root, 'labels').at(-1);
  if (labels?.type === 'object') {
    return { at: labels.offset + 1, length: 0, text: labels.children?.length ? `${label},` : label };
  }
  if (labels !== undefined) return { at: labels.offset, length: labels.length, text: `{${label}}` };
  return { at: root.offset + 1, length: 0, text: `"Labels":{${label}}${root.children?.length ? ',' : ''}` };
}
