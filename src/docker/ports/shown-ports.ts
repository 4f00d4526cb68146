import { type Node, type ParseError, parseTree } from 'jsonc-parser';
import { ASKED_LABEL, type AskedBindings, parseAskedLabel } from './asked-label.ts';
import { parsePortKey } from './binding.ts';

/**
 * Puts what clients asked for in the place of what the engine was told, in its answers about containers: one
 * description (`/containers/ID/json`), or the list (`/containers/json`). Only containers with our label are touched,
 * and of them only the ports; everything else stays octet for octet.
 */
export function withAskedPorts(body: Buffer): Buffer {
  if (!body.includes(ASKED_LABEL)) return body;
  const text = body.toString('utf8');
  const errors: ParseError[] = [];
  const root = parseTree(text, errors);
  if (root === undefined || errors.length > 0) return body;
  const edits = root.type === 'array' ? (root.children ?? []).flatMap(listedEdits) : inspectedEdits(root);
  const shown = edits
    .toSorted((a, b) => b.node.offset - a.node.offset)
    .reduce((done, { node, value }) => {
      return done.slice(0, node.offset) + JSON.stringify(value) + done.slice(node.offset + node.length);
    }, text);
  return Buffer.from(shown);
}

interface Edit {
  readonly node: Node;
  readonly value: unknown;
}

function listedEdits(container: Node): Edit[] {
  const asked = askedOf(at(container, 'Labels'));
  const ports = at(container, 'Ports');
  if (asked === undefined || ports?.type !== 'array') return [];
  const shown = (ports.children ?? []).flatMap((node) => {
    const port = plainObject(node) as ListedPort;
    // What the container exposes and does not publish has no port at the host.
    return port.PublicPort !== undefined && asked[`${port.PrivatePort}/${port.Type}`] !== undefined ? [] : [port];
  });
  const isPublished = (ports.children?.length ?? 0) > shown.length;
  const added = Object.entries(isPublished ? asked : {}).flatMap(([key, list]) => {
    const port = parsePortKey(key);
    if (port === undefined) return [];
    return list.flatMap(({ HostIp, HostPort }) =>
      shownAddresses(HostIp).map(
        (IP): ListedPort => ({
          IP,
          PrivatePort: port.containerPort,
          PublicPort: Number(HostPort),
          Type: port.protocol,
        }),
      ),
    );
  });
  return [{ node: ports, value: [...shown, ...added] }];
}

interface ListedPort {
  readonly IP?: string;
  readonly PrivatePort: number;
  readonly PublicPort?: number;
  readonly Type: string;
}

function inspectedEdits(container: Node): Edit[] {
  const asked = askedOf(at(at(container, 'Config'), 'Labels'));
  if (asked === undefined) return [];
  const edits: Edit[] = [];
  for (const [key, list] of Object.entries(asked)) {
    const bound = at(at(at(container, 'HostConfig'), 'PortBindings'), key);
    if (bound !== undefined) edits.push({ node: bound, value: list.map(hostEnd) });
    const published = at(at(at(container, 'NetworkSettings'), 'Ports'), key);
    if (published?.type === 'array' && published.children?.length) {
      const value = list.flatMap((one) => shownAddresses(one.HostIp).map((HostIp) => hostEnd({ ...one, HostIp })));
      edits.push({ node: published, value });
    }
  }
  return edits;
}

function hostEnd({ HostIp, HostPort }: { readonly HostIp: string; readonly HostPort: string }): object {
  return { HostIp, HostPort };
}

/** The engine shows a binding at every address as two. */
function shownAddresses(hostIp: string): readonly string[] {
  return hostIp === '' ? ['0.0.0.0', '::'] : [hostIp];
}

function askedOf(labels: Node | undefined): AskedBindings | undefined {
  const label = at(labels, ASKED_LABEL)?.value as unknown;
  return parseAskedLabel(typeof label === 'string' ? label : undefined);
}

/** The value under that key of an object, if it is one and has it. */
function at(object: Node | undefined, key: string): Node | undefined {
  if (object?.type !== 'object') return undefined;
  return object.children?.find((property) => property.children?.[0]?.value === key)?.children?.[1];
}

function plainObject(node: Node): unknown {
  const entries = (node.children ?? []).map((property) => [
    property.children?.[0]?.value,
    property.children?.[1]?.value,
  ]);
  return Object.fromEntries(entries);
}
