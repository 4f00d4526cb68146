/** A port of a container that is published at the host. Not of SCTP: no host engine of ours speaks it. */
export interface Binding {
  readonly protocol: 'tcp' | 'udp';
  readonly containerPort: number;
  /** As Docker has it: '' is every address of the host, IPv4 and IPv6. */
  readonly hostIp: string;
  readonly hostPort: number;
  /** The port at which the engine publishes it in its guest. */
  readonly enginePort: number;
}

/** What is asked for at the host, before a port is chosen. */
export type HostPortWish =
  | { readonly kind: 'fixed'; readonly port: number }
  /** `first` and `last` are 0 where any will do. */
  | { readonly kind: 'any'; readonly first: number; readonly last: number };

/** Docker's HostPort: '', '0', '8080' or '8000-8010'; undefined for what is none of these, which the engine refuses. */
export function parseHostPort(text: string): HostPortWish | undefined {
  if (text === '' || text === '0') return { kind: 'any', first: 0, last: 0 };
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  if (first === 0 || last < first || last > 65_535) return undefined;
  return first === last ? { kind: 'fixed', port: first } : { kind: 'any', first, last };
}

/** Docker's key of a port, `80/tcp` or `80`; undefined for SCTP and for what is none. */
export function parsePortKey(key: string): Pick<Binding, 'protocol' | 'containerPort'> | undefined {
  const match = /^(\d{1,5})(?:\/(tcp|udp))?$/i.exec(key);
  const containerPort = Number(match?.[1]);
  if (match === null || containerPort < 1 || containerPort > 65_535) return undefined;
  return { protocol: match[2]?.toLowerCase() === 'udp' ? 'udp' : 'tcp', containerPort };
}

/**
 * Whether the engine in its guest can have the address that is asked for. Others are the host's own: the engine is told
 * to publish at all of its addresses, where Slipway reaches the port.
 */
export function isEngineAddress(hostIp: string): boolean {
  return hostIp === '' || hostIp === '0.0.0.0';
}

/** The host's end of a binding, as the key of a table. */
export function bindingKey({ protocol, hostIp, hostPort }: Binding): string {
  return `${protocol} ${hostIp} ${hostPort}`;
}

/** Whether two bindings cannot both be bound: the same port, at addresses of which one covers the other. */
export function collide(a: Binding, b: Binding): boolean {
  if (a.protocol !== b.protocol || a.hostPort !== b.hostPort) return false;
  return a.hostIp === b.hostIp || covers(a.hostIp, b.hostIp) || covers(b.hostIp, a.hostIp);
}

function covers(all: string, one: string): boolean {
  return all === '' || (all === '0.0.0.0' && !one.includes(':')) || (all === '::' && one.includes(':'));
}
